// The executor on a device whose memory is not the host's: the CPU's results, the device's own account, and what
// happens when it fails.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/kernels/remote_device.h"
#include "tests/server/executor/executor_rig.h"
#include "tests/server/model/memory_source.h"

namespace halftone {
namespace {

using test::RemoteDevice;
using testing::HasSubstr;

RemoteDevice& remote(ExecutorRig& rig) { return static_cast<RemoteDevice&>(rig.device()); }

void expect_same(const RowResult& expected, const RowResult& actual, const std::string& what) {
  EXPECT_EQ(expected.token, actual.token) << what;
  EXPECT_EQ(expected.logprob, actual.logprob) << what;
  EXPECT_EQ(expected.rank, actual.rank) << what;
  expect_same_rows({&expected, 1}, {&actual, 1}, what);
}

// What a row may want: a score, a greedy token, draws that need the whole row, everything that edits logits.
struct Wanted {
  std::vector<SamplingParams> samplings;
  std::vector<TokenCount> counts = {{5, true, 0}, {9, false, 2}, {17, true, 1}, {40, false, 0}};
  std::vector<int32_t> banned = {2, 17};
  std::vector<LogitRow> rows;

  Wanted() {
    SamplingParams greedy, flat, edited;
    greedy.temperature = 0;
    flat.temperature = 20;
    flat.seed = 7;
    edited = {.temperature = 0.8f, .top_p = 0.9f, .repetition_penalty = 1.3f, .presence_penalty = 0.5f};
    edited.frequency_penalty = 0.25f;
    edited.logit_bias = {{9, 4}, {60, 6}};
    samplings = {greedy, flat, edited};
    LogitRow score;
    score.target = 11;
    rows.push_back(score);
    for (const SamplingParams& sampling : samplings) {
      for (uint32_t top : {0u, 5u}) {
        rows.push_back({.sampling = &sampling, .target = 11, .top = top, .counts = counts, .banned = banned});
      }
    }
  }
  Wanted(const Wanted&) = delete;
};

TEST(RemoteExecutor, GivesTheCpusTokensWhateverIsWantedOfARow) {
  const std::vector<std::string> modes = {"f32", "w4a8+kv8"};
  TinyCheckpoint tiny;
  tiny.config.vocabulary = 600;  // more than the candidates that come back at once
  ExecutorRig here(tiny_source(tiny), {.modes = modes}), there(tiny_source(tiny), {.modes = modes, .device = "remote"});
  const std::vector<int32_t> prompt = random_tokens(4, 30, 600);
  const Wanted wanted;
  for (ModeIndex mode : {0, 1}) {
    for (const LogitRow& row : wanted.rows) {
      auto ask = [&](ExecutorRig& rig, int64_t first, std::span<const PageId> pages) {
        const Piece piece{std::span(prompt).subspan(static_cast<size_t>(first), 1), first, pages, {&row, 1}};
        return rig.step(mode, {&piece, 1}).rows.at(0);
      };
      const std::vector<PageId> here_pages = here.take_pages(mode, 30), there_pages = there.take_pages(mode, 30);
      for (int64_t first = 0; first < 30; ++first) {
        expect_same(ask(here, first, here_pages), ask(there, first, there_pages),
                    modes[static_cast<size_t>(mode)] + " at " + std::to_string(first));
      }
    }
  }
  EXPECT_GT(remote(there).replays(), 2 * 29) << "decodes are replayed";
}

// Every mode's weights over every mode's pages, in batches that grow and shrink: a replay must be of the very same
// operations.
TEST(RemoteExecutor, ReplaysEachModeAndBatchAsItWasRecorded) {
  const std::vector<std::string> modes = {"bf16", "w8a8", "bf16+kv8"};
  constexpr int64_t kSteps = 24, kSequences = 10;  // of each KV format
  const std::vector<int32_t> tokens = random_tokens(4, kSteps + 30, 320);
  auto decode = [&](ExecutorRig& rig) {
    std::vector<std::vector<PageId>> pages;
    for (int64_t s = 0; s < 3 * kSequences; ++s) pages.push_back(rig.take_pages(0, kSteps));
    std::vector<int64_t> lengths(pages.size());
    std::vector<RowResult> rows;
    for (int64_t step = 0; step < kSteps; ++step) {
      for (ModeIndex kv : {0, 1, 2}) {
        std::vector<Piece> pieces;
        for (int64_t i = step % 3 == 2 ? 7 : 0; i < kSequences; ++i) {
          const size_t s = static_cast<size_t>(kv * kSequences + i);
          const size_t token = s + static_cast<size_t>(lengths[s]);
          pieces.push_back({std::span(tokens).subspan(token, 1), lengths[s]++, pages[s], {}, true});
        }
        const ModeIndex weights = static_cast<ModeIndex>((kv + step) % 2 == 0 ? kv : (kv + 1) % 3);
        for (RowResult& row : rig.step(weights, kv, pieces).rows) rows.push_back(std::move(row));
      }
    }
    return rows;
  };
  ExecutorRig here(tiny_source(), {.modes = modes}), there(tiny_source(), {.modes = modes, .device = "remote"});
  expect_same_rows(decode(here), decode(there), "three modes in turns");
  // Each KV format meets two weights in two sizes; one of these and its replay were in the warm-up.
  EXPECT_EQ(remote(there).replays(), 3 * kSteps - 3 * (2 * 2 - 1) + 3);
}

TEST(RemoteExecutor, ANewOneReplaysNothingOfAnOldOne) {
  TinyCheckpoint other;
  other.seed = 2;
  const ModelSource sources[] = {tiny_source(), tiny_source(other)};
  const std::vector<int32_t> prompt = random_tokens(6, 20, 320);
  Ledger ledger;
  RemoteDevice device({.threads = 1, .isa = ""}, ledger);
  for (const ModelSource& source : sources) {
    ExecutorRig here(source, {}), there(source, {}, device);
    expect_same_rows(here.run(0, prompt, 1), there.run(0, prompt, 1), source.spec.name);
  }
}

TEST(RemoteExecutor, AStepMayBeAsLongAsThereIsRoom) {
  for (int64_t most : {1, 7, 8, 13}) {
    ExecutorRig here(tiny_source(), {.max_step_tokens = most}),
        there(tiny_source(), {.max_step_tokens = most, .device = "remote"});
    const std::vector<int32_t> prompt = random_tokens(5, 30, 320);
    expect_same_rows(here.run(0, prompt, most), there.run(0, prompt, most), std::to_string(most) + " tokens a step");
  }
}

TEST(RemoteExecutor, CountsWhatItClamps) {
  MemoryTensors tensors = memory_tensors({});
  for (float& value : tensors["layers.0.v"].values) value *= 1e6f;
  const ModelSource source = memory_source(tiny_config(), std::move(tensors));
  ExecutorRig here(source, {}), there(source, {.device = "remote"});
  for (ExecutorRig* rig : {&here, &there}) rig->run(0, std::vector<int32_t>{1, 2, 3}, 2);
  EXPECT_GT(here.executor().clamped_values(), 0);
  EXPECT_EQ(here.executor().clamped_values(), there.executor().clamped_values());
}

TEST(RemoteExecutor, AFailedDeviceIsAnInternalErrorThatSaysWhy) {
  SamplingParams greedy;
  greedy.temperature = 0;
  LogitRow row;
  row.sampling = &greedy;
  row.top = 3;
  for (const std::vector<LogitRow>& rows : {std::vector<LogitRow>{row}, std::vector<LogitRow>{}}) {
    ExecutorRig rig(tiny_source(), {.device = "remote"});
    const std::vector<PageId> pages = rig.take_pages(0, 4);
    const std::vector<int32_t> tokens = {1, 2, 3};
    StepSequence sequence{tokens, 0, pages, rows};
    const StepInput input{0, 0, {&sequence, 1}};
    ASSERT_TRUE(rig.executor().submit(input).ok());
    EXPECT_TRUE(rig.executor().wait().ok());
    remote(rig).fail("an illegal memory access was encountered");
    ASSERT_TRUE(rig.executor().submit(input).ok());
    const absl::Status status = rig.executor().wait().status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
    EXPECT_THAT(std::string(status.message()), HasSubstr("an illegal memory access was encountered"));
  }
}

TEST(RemoteExecutor, ADeviceThatFailsBeforeTheFirstStepIsNoExecutor) {
  Ledger ledger;
  RemoteDevice device({.threads = 1, .isa = ""}, ledger);
  device.fail("out of order");
  const absl::Status status =
      LocalExecutor::create(tiny_source(), device, {.modes = *parse_modes("f32"), .kv_bytes = 1 << 20}).status();
  EXPECT_EQ(status, absl::InternalError("out of order"));
  EXPECT_EQ(ledger.total(), 0u) << "everything is given back";
}

// The test of the tests: what the host must not touch it cannot.
TEST(RemoteDeviceDeathTest, TheHostCannotReadItsMemory) {
  Ledger ledger;
  RemoteDevice device({.threads = 1, .isa = ""}, ledger);
  const Buffer memory = device.allocate(64, {"test", MemoryCategory::kOther});
  EXPECT_DEATH(std::printf("%f", static_cast<double>(*static_cast<volatile float*>(memory.f32()))), "");
  float on_the_host = 1;
  EXPECT_DEATH(device.rank(&on_the_host, 1, 0), "broken promise");
}

}  // namespace
}  // namespace halftone
