// The executor's account, its limits and its errors.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>
#include <map>

#include "kernels/cpu/cpu_device.h"
#include "tests/server/executor/executor_rig.h"
#include "tests/server/model/memory_source.h"

namespace halftone {
namespace {

using testing::HasSubstr;

// The tiny checkpoint: 2 layers, 2 KV heads of 16.
constexpr uint64_t kPage16 = 2 * 2 * 16 * 16 * 2 * 2;                // 16 tokens of kv16
constexpr uint64_t kPage8 = 2 * (2 * 16 * 32 * 2 + 2 * 2 * 32 * 2);  // 32 tokens of kv8 and their scales
constexpr uint64_t kPage = kPage8 > kPage16 ? kPage8 : kPage16;

std::map<std::string, uint64_t> kv_entries(const Ledger& ledger) {
  std::map<std::string, uint64_t> out;
  for (const MemoryEntry& e : ledger.entries()) {
    const std::string category = memory_category_name(e.tag.category);
    if (category.starts_with("kv") && e.bytes > 0) out[e.tag.owner + "/" + category] = e.bytes;
  }
  return out;
}

absl::Status create(const ModelSource& source, LocalExecutorOptions options) {
  Ledger ledger;
  const std::unique_ptr<Device> device = make_cpu_device({.threads = 1, .isa = ""}, ledger);
  if (options.modes.empty()) options.modes = *parse_modes("f32");
  const absl::Status status = LocalExecutor::create(source, *device, options).status();
  EXPECT_EQ(ledger.total(), 0u) << "everything is given back";
  return status;
}

TEST(Executor, SaysHowEachModeLiesInMemory) {
  ExecutorRig rig(tiny_source(), {.modes = {"bf16", "w4a16+kv8"}});
  const std::span<const ModeFacts> facts = rig.executor().modes();
  ASSERT_EQ(facts.size(), 2u);
  EXPECT_EQ(facts[0].id, "bf16");
  EXPECT_EQ(facts[0].weights, "bf16");
  EXPECT_EQ(facts[0].kv, "kv16");
  EXPECT_EQ(facts[0].import, "requantized");
  EXPECT_EQ(facts[0].page_tokens, 16);
  EXPECT_EQ(facts[0].kv_bytes_per_token, kPage16 / 16);
  EXPECT_EQ(facts[0].page_padding_bytes, kPage - kPage16);
  EXPECT_EQ(facts[1].id, "w4a16+kv8");
  EXPECT_EQ(facts[1].activations, "a16");
  EXPECT_EQ(facts[1].page_tokens, 32);
  EXPECT_EQ(facts[1].kv_bytes_per_token, kPage8 / 32);
  EXPECT_EQ(facts[1].page_padding_bytes, kPage - kPage8);
  EXPECT_EQ(facts[1].kernel, std::string(rig.device().kernel_name()));
  EXPECT_NE(facts[0].weights_digest, facts[1].weights_digest);
  EXPECT_EQ(rig.executor().page_bytes(), kPage);
  EXPECT_EQ(rig.executor().pages(), static_cast<int64_t>((1 << 20) / kPage));
  EXPECT_EQ(rig.executor().vocabulary(), 320);
  EXPECT_EQ(rig.executor().context(), 512);
  EXPECT_EQ(rig.executor().max_step_tokens(), 128);
}

TEST(Executor, AFootprintIsWhatTheModeWouldNeedAlone) {
  ExecutorRig both(tiny_source(), {.modes = {"w4a16", "w4a16+kv8"}});
  ExecutorRig alone(tiny_source(), {.modes = {"w4a16"}});
  EXPECT_EQ(alone.executor().modes()[0].footprint_bytes, alone.ledger().total());
  EXPECT_EQ(both.executor().modes()[0].own_bytes, 0u);
  // Both share an arena of pages that a page of kv8 does not divide in the same way.
  const uint64_t arena_alone = static_cast<uint64_t>(alone.executor().pages()) * alone.executor().page_bytes();
  const uint64_t arena_both = static_cast<uint64_t>(both.executor().pages()) * both.executor().page_bytes();
  EXPECT_EQ(both.executor().modes()[0].footprint_bytes - arena_both,
            alone.executor().modes()[0].footprint_bytes - arena_alone);
}

TEST(Executor, PagesThatAreHeldStandUnderTheirModesName) {
  ExecutorRig rig(tiny_source(), {.modes = {"bf16", "w4a16+kv8"}});
  const uint64_t idle = rig.ledger().total(), arena = static_cast<uint64_t>(rig.executor().pages()) * kPage;
  EXPECT_EQ(kv_entries(rig.ledger()), (std::map<std::string, uint64_t>{{"shared/kv_cache", arena}}));
  rig.executor().report_page_use(std::vector<int64_t>{3, 5});
  const uint64_t scales = 5 * 2 * 2 * 2 * 32 * 2, codes = 5 * 2 * 2 * 2 * 16 * 32;
  std::map<std::string, uint64_t> expected = {{"bf16/kv_cache", 3 * kPage16},
                                              {"w4a16+kv8/kv_cache", codes},
                                              {"w4a16+kv8/kv_scales", scales},
                                              {"shared/kv_cache", arena - 8 * kPage}};
  if (kPage > kPage16) expected["bf16/kv_padding"] = 3 * (kPage - kPage16);
  if (kPage > kPage8) expected["w4a16+kv8/kv_padding"] = 5 * (kPage - kPage8);
  EXPECT_EQ(kv_entries(rig.ledger()), expected);
  EXPECT_EQ(rig.ledger().total(), idle) << "names change, bytes do not";
  rig.executor().report_page_use(std::vector<int64_t>{0, 0});
  EXPECT_EQ(kv_entries(rig.ledger()), (std::map<std::string, uint64_t>{{"shared/kv_cache", arena}}));
}

TEST(Executor, PeaksAreOfTheStageThatTheStepWas) {
  ExecutorRig rig(tiny_source(), {});
  auto peaks = [&] {
    for (const MemoryEntry& e : rig.ledger().entries()) {
      if (e.tag == MemoryTag{"f32", MemoryCategory::kKvCache}) return e.peak_bytes;
    }
    return std::array<uint64_t, kMemoryStages>{};
  };
  const std::vector<PageId> pages = rig.take_pages(0, 20);
  const std::vector<int32_t> prompt = random_tokens(1, 19, 320);
  rig.run(0, prompt, pages, 19);
  rig.executor().report_page_use(std::vector<int64_t>{7});
  rig.executor().report_page_use(std::vector<int64_t>{2});
  const Piece next{.tokens = std::span(prompt).first(1), .first_position = 19, .pages = pages};
  rig.step(0, {&next, 1});
  EXPECT_EQ(peaks()[static_cast<size_t>(MemoryStage::kLoad)], 0u);
  EXPECT_EQ(peaks()[static_cast<size_t>(MemoryStage::kPrefill)], 7 * kPage16);
  EXPECT_EQ(peaks()[static_cast<size_t>(MemoryStage::kDecode)], 2 * kPage16);
}

TEST(Executor, AnArenaOfLessThanTwoPagesIsRefusedWithTheNumbers) {
  const absl::Status status = create(tiny_source(), {.kv_bytes = 2 * kPage16 - 1});
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("--kv-bytes " + std::to_string(2 * kPage16 - 1)));
  EXPECT_THAT(std::string(status.message()), HasSubstr(std::to_string(kPage16) + " bytes"));
  EXPECT_TRUE(create(tiny_source(), {.kv_bytes = 2 * kPage16}).ok());
}

// Requests see the context, so it is never more than one of them could use.
TEST(Executor, ASequenceIsAsLongAsThePagesHold) {
  ExecutorRig rig(tiny_source(), {.modes = {"f32", "f32+kv8"}, .kv_bytes = 5 * kPage});
  ASSERT_EQ(rig.executor().pages(), 5);
  EXPECT_EQ(rig.executor().context(), 5 * 32) << "of the mode whose pages hold more tokens";
  uint64_t tables = 0;
  for (const MemoryEntry& entry : rig.ledger().entries()) {
    if (entry.tag.category == MemoryCategory::kOther) tables += entry.bytes;
  }
  EXPECT_EQ(tables, 5 * 32 * static_cast<uint64_t>(tiny_source().spec.layers[0].head_dim) * sizeof(float));
  EXPECT_EQ(ExecutorRig(tiny_source(), {.max_context = 20, .kv_bytes = 5 * kPage16}).executor().context(), 20);
}

TEST(Executor, AContextFarBeyondThePagesCostsNothing) {
  ModelSource source = tiny_source();
  source.spec.context = int64_t{1} << 30;
  ExecutorRig rig(source, {.kv_bytes = 4 * kPage16});
  EXPECT_EQ(rig.executor().context(), 4 * 16);
}

TEST(Executor, MoreMemoryThanIsFreeIsRefusedBeforeItIsTaken) {
  const absl::Status status = create(tiny_source(), {.kv_bytes = uint64_t{1} << 40, .free_bytes = uint64_t{1} << 30});
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  for (const char* word : {"not enough memory", "--kv-bytes", "--modes", "1073.7 MB"}) {
    EXPECT_THAT(std::string(status.message()), HasSubstr(word));
  }
  EXPECT_EQ(create(tiny_source(), {.kv_bytes = 4 * kPage16, .free_bytes = 1000}).code(),
            absl::StatusCode::kResourceExhausted);
}

TEST(Executor, AnArenaOfItsOwnChoiceLeavesRoomForTheWeights) {
  auto arena = [](uint64_t free) -> uint64_t {
    Ledger ledger;
    const std::unique_ptr<Device> device = make_cpu_device({1, ""}, ledger);
    const auto made = LocalExecutor::create(
        tiny_source(), *device, {.modes = *parse_modes("f32"), .default_kv_bytes = free / 4, .free_bytes = free});
    if (!made.ok()) return 0;
    EXPECT_LE(ledger.total(), free);
    return static_cast<uint64_t>((*made)->pages()) * (*made)->page_bytes();
  };
  const uint64_t alone = ExecutorRig(tiny_source(), {.max_step_tokens = 512}).ledger().total() - (1 << 20);
  EXPECT_NEAR(static_cast<double>(arena(100 * alone)), 25.0 * static_cast<double>(alone), 2.0 * kPage16);
  const uint64_t tight = arena(alone + 40 * kPage16);
  EXPECT_GT(tight, 0u);
  EXPECT_LE(tight, 25 * kPage16) << "half of what is left, the tables of a whole context among it";
  EXPECT_EQ(arena(alone / 2), 0u);
}

TEST(Executor, CountsTheWorkOfAStep) {
  ExecutorRig rig(tiny_source(), {.modes = {"bf16"}});
  const double body = 2 * (2 * 64 * 64 + 2 * 32 * 64 + 3 * 96 * 64), head = 320 * 64;
  const double body_bytes = body * 2 + (64 + 2 * 2 * 64) * 4;
  const double kv = static_cast<double>(kPage16) / 16;
  const std::vector<int32_t> tokens = random_tokens(1, 10, 320);
  const std::vector<PageId> a = rig.take_pages(0, 10), b = rig.take_pages(0, 40);
  LogitRow row;
  row.target = 1;
  // Seven tokens after three, and one after thirty; two rows.
  LogitRow last = row;
  last.token = 6;
  const Piece pieces[] = {{std::span(tokens).last(7), 3, a, {&last, 1}},
                          {std::span(tokens).first(1), 30, b, {&row, 1}}};
  const StepOutput output = rig.step(0, pieces);
  const double seen = 4 + 5 + 6 + 7 + 8 + 9 + 10 + 31;
  EXPECT_EQ(output.flops, 2 * 8 * body + 2 * 2 * head + 4 * 2 * 64 * seen);
  EXPECT_EQ(output.bytes_moved, body_bytes + head * 2 + (10 + 31 + 8) * kv);
  EXPECT_GT(output.device_time, 0);
  const Piece silent[] = {{std::span(tokens).first(3), 0, a, {}, false}};
  const StepOutput none = rig.step(0, silent);
  EXPECT_TRUE(none.rows.empty());
  EXPECT_EQ(none.flops, 2 * 3 * body + 4 * 2 * 64 * (1 + 2 + 3));
  EXPECT_EQ(none.bytes_moved, body_bytes + (3 + 3) * kv) << "the head is not read";
}

TEST(Executor, AWindowBoundsTheWorkOfAttention) {
  TinyCheckpoint tiny;
  tiny.config = tiny_config("mistral");
  tiny.config.sliding_window = 5;
  ExecutorRig rig(tiny_source(tiny), {.modes = {"bf16"}});
  const double body = 2 * (2 * 64 * 64 + 2 * 32 * 64 + 3 * 96 * 64);
  const std::vector<int32_t> tokens = random_tokens(1, 4, 320);
  const std::vector<PageId> pages = rig.take_pages(0, 40);
  const Piece pieces[] = {{tokens, 3, pages, {}, false}};
  EXPECT_EQ(rig.step(0, pieces).flops, 2 * 4 * body + 4 * 2 * 64 * (4 + 5 + 5 + 5));
  const Piece late[] = {{std::span(tokens).first(2), 20, pages, {}, false}};
  const double vectors = (64 + 2 * 2 * 64) * 4, kv = static_cast<double>(kPage16) / 16;
  EXPECT_EQ(rig.step(0, late).bytes_moved, body * 2 + vectors + (5 + 1 + 2) * kv);
}

TEST(Executor, KnowsAtOnceHowLongStepsTake) {
  ExecutorRig rig(tiny_source(), {.modes = {"f32", "w4a16+kv8"}});
  for (ModeIndex mode : {0, 1}) {
    EXPECT_GT(rig.executor().prefill_time(mode, 1), 0);
    EXPECT_LT(rig.executor().prefill_time(mode, 100), rig.executor().prefill_time(mode, 1000));
    EXPECT_EQ(rig.executor().prefill_time(mode, 0), 0);
    EXPECT_EQ(rig.executor().tokens_for(mode, 0), 1);
    EXPECT_EQ(rig.executor().tokens_for(mode, INT64_MAX), rig.executor().max_step_tokens());
  }
}

TEST(Executor, ALogitThatIsNoNumberIsSaid) {
  for (float bad : {std::numeric_limits<float>::quiet_NaN(), HUGE_VALF}) {
    MemoryTensors tensors = memory_tensors({});
    tensors["layers.0.mlp_norm"].values[5] = bad;
    ExecutorRig rig(memory_source(tiny_config(), std::move(tensors)), {.modes = {"f32", "w4a16+kv8"}});
    SamplingParams sampling;
    LogitRow row;
    row.sampling = &sampling;
    row.top = 4;
    for (ModeIndex mode : {0, 1}) {
      const std::vector<int32_t> tokens = {7};
      const std::vector<PageId> pages = rig.take_pages(mode, 1);
      const Piece piece{.tokens = tokens, .pages = pages, .rows = {&row, 1}};
      EXPECT_FALSE(rig.step(mode, {&piece, 1}).rows.at(0).finite) << bad;
    }
  }
}

TEST(Executor, OneBadSequenceDoesNotSpoilItsNeighbours) {
  MemoryTensors tensors = memory_tensors({});
  for (int i = 0; i < 64; ++i) tensors["embedding"].values[static_cast<size_t>(9 * 64 + i)] = NAN;  // token 9
  TinyConfig config;
  config.tied_head = false;
  tensors["head"] = memory_tensors({})["embedding"];
  ExecutorRig rig(memory_source(config, std::move(tensors)), {.modes = {"f32"}});
  const std::vector<int32_t> good = {1, 2, 3, 4}, bad = {1, 9, 3, 4};
  const std::vector<RowResult> expected = rig.run(0, good, 4);
  const std::vector<PageId> a = rig.take_pages(0, 4), b = rig.take_pages(0, 4);
  const Piece pieces[] = {{bad, 0, a, {}}, {good, 0, b, {}}};
  const StepOutput output = rig.step(0, pieces);
  EXPECT_TRUE(output.rows[0].finite) << "before the bad token";
  for (size_t i : {1u, 2u, 3u}) EXPECT_FALSE(output.rows[i].finite) << i;
  expect_same_rows(expected, std::span(output.rows).last(4), "beside a sequence of NaN");
  expect_same_rows(expected, rig.run(0, good, a, 4), "in the pages that it left");
}

TEST(Executor, KeysBeyondTheRangeAreClampedAndCounted) {
  MemoryTensors tensors = memory_tensors({});
  for (float& value : tensors["layers.0.v"].values) value *= 1e6f;
  ExecutorRig rig(memory_source(tiny_config(), std::move(tensors)), {.modes = {"f32"}});
  const int64_t before = rig.executor().clamped_values();
  const std::vector<RowResult> rows = rig.run(0, std::vector<int32_t>{1, 2}, 2);
  EXPECT_GT(rig.executor().clamped_values(), before);
  EXPECT_TRUE(rows[1].finite);
  ExecutorRig sound(tiny_source(), {});
  sound.run(0, std::vector<int32_t>{1, 2}, 2);
  EXPECT_EQ(sound.executor().clamped_values(), 0);
}

}  // namespace
}  // namespace halftone
