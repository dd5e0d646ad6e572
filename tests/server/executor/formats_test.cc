// The same model from either file, and one mode's weights over another mode's pages.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "server/architecture/family.h"
#include "tests/server/executor/executor_rig.h"
#include "tests/server/model/memory_source.h"
#include "tests/support/checkpoint_writer.h"

namespace halftone {
namespace {

// One model in both kinds of file.
struct BothFiles {
  explicit BothFiles(const TinyCheckpoint& tiny) {
    write_tiny_gguf(directory.file("tiny.gguf"), tiny);
    write_tiny_huggingface(directory.file("tiny"), tiny, 2);
    gguf = std::make_unique<ExecutorRig>(open_source(directory.file("tiny.gguf")), RigOptions{});
    huggingface = std::make_unique<ExecutorRig>(open_source(directory.file("tiny")), RigOptions{});
  }
  TestDirectory directory;
  std::unique_ptr<ExecutorRig> gguf, huggingface;
};

double largest_difference(std::span<const RowResult> a, std::span<const RowResult> b) {
  double largest = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const std::vector<double> left = logits_of(a[i]), right = logits_of(b[i]);
    for (size_t id = 0; id < left.size(); ++id) largest = std::max(largest, std::fabs(left[id] - right[id]));
  }
  return largest;
}

TEST(Formats, EveryFamilyIsTheSameModelFromEitherFile) {
  const std::vector<int32_t> prompt = random_tokens(3, 30, 320);
  for (const Family* family : all_families()) {
    for (bool tied : {true, false}) {
      TinyCheckpoint tiny;
      tiny.config = tiny_config(std::string(family->name));
      tiny.config.tied_head = tied;
      BothFiles both(tiny);
      expect_same_rows(both.huggingface->run(0, prompt, 30), both.gguf->run(0, prompt, 30),
                       std::string(family->name) + (tied ? ", tied" : ", untied"));
    }
  }
}

TEST(Formats, ScaledRotationsAreTheSameFromEitherFile) {
  const std::vector<int32_t> prompt = random_tokens(3, 100, 320);
  ExecutorRig plain(tiny_source(), {});
  const std::vector<RowResult> unscaled = plain.run(0, prompt, 100);
  for (RopeScaling::Kind kind : {RopeScaling::Kind::kLinear, RopeScaling::Kind::kLlama3}) {
    TinyCheckpoint tiny;
    tiny.config.rope_scaling = {
        .kind = kind, .factor = 4, .low_frequency_factor = 1, .high_frequency_factor = 4, .original_context = 64};
    BothFiles both(tiny);
    const std::vector<RowResult> huggingface = both.huggingface->run(0, prompt, 100);
    // GGUF keeps Llama 3's factors as float32: a little off.
    EXPECT_LT(largest_difference(huggingface, both.gguf->run(0, prompt, 100)), 0.02);
    EXPECT_GT(largest_difference(huggingface, unscaled), 0.5) << "scaling matters here";
  }
}

TEST(Formats, WeightsOfOneModeMayFillThePagesOfAnother) {
  ExecutorRig rig(tiny_source(), {.modes = {"bf16", "w4a16", "w4a16+kv8"}});
  const std::vector<int32_t> prompt = random_tokens(3, 40, 320);
  const std::vector<RowResult> expected = rig.run(2, prompt, 40);
  const std::vector<PageId> pages = rig.take_pages(2, 40);
  std::vector<LogitRow> rows(40);
  for (size_t i = 0; i < rows.size(); ++i) {
    rows[i].token = static_cast<int64_t>(i);
    rows[i].top = 320;
  }
  const StepSequence sequence{prompt, 0, pages, rows};
  const StepInput input{.weights = 1, .kv = 2, .sequences = {&sequence, 1}};
  ASSERT_TRUE(rig.executor().submit(input).ok());
  absl::StatusOr<StepOutput> output = rig.executor().wait();
  ASSERT_TRUE(output.ok()) << output.status();
  expect_same_rows(expected, output->rows, "w4a16 over pages of kv8");
  // A draft's pages are read by its target: other values, the same places.
  const Piece last{.tokens = std::span(prompt).last(1), .first_position = 39, .pages = pages};
  expect_same_rows(std::span(expected).last(1), rig.step(2, {&last, 1}).rows, "read again by w4a16+kv8");
}

TEST(Formats, FewerBitsAreFurtherFromTheSourcesOwnValues) {
  const std::vector<int32_t> prompt = random_tokens(3, 30, 320);
  ExecutorRig rig(tiny_source(), {.modes = known_modes()});
  const std::vector<RowResult> exact = rig.run(rig.mode("f32"), prompt, 30);
  auto divergence = [&](const std::string& mode) {
    const std::vector<RowResult> rows = rig.run(rig.mode(mode), prompt, 30);
    double sum = 0;  // Kullback-Leibler, mean over rows, nats
    for (size_t i = 0; i < rows.size(); ++i) {
      const std::vector<double> p = logits_of(exact[i]), q = logits_of(rows[i]);
      for (size_t id = 0; id < p.size(); ++id) {
        const double log_p = p[id] - static_cast<double>(exact[i].logsumexp);
        sum += std::exp(log_p) * (log_p - (q[id] - static_cast<double>(rows[i].logsumexp)));
      }
    }
    return sum / static_cast<double>(rows.size());
  };
  const double bf16 = divergence("bf16"), w8 = divergence("w8a16"), w4 = divergence("w4a16");
  std::printf("KL of bf16 %.2g, w8a16 %.2g, w4a16 %.2g, f32+kv8 %.2g\n", bf16, w8, w4, divergence("f32+kv8"));
  EXPECT_GT(bf16, 0);
  EXPECT_LT(bf16, w8);
  EXPECT_LT(w8, w4);
}

// Rows [0, rows) and columns [0, cols) of it; what is cut off becomes zero in `whole`.
MemoryTensor cut(MemoryTensor& whole, int64_t rows, int64_t cols) {
  MemoryTensor part = whole;
  part.rows = rows, part.cols = cols;
  part.values.clear();
  for (int64_t r = 0; r < whole.rows; ++r) {
    for (int64_t c = 0; c < whole.cols; ++c) {
      float& value = whole.values[static_cast<size_t>(r * whole.cols + c)];
      if (r < rows && c < cols) {
        part.values.push_back(value);
      } else {
        value = 0;
      }
    }
  }
  return part;
}

// Layer 1 without a KV head, its two query heads and 56 of 96 inputs of its MLP.
TEST(Formats, APrunedCheckpointAnswersAsTheWholeOneWithZeros) {
  TinyCheckpoint tiny;
  MemoryTensors whole = memory_tensors(tiny), pruned = whole;
  const std::map<std::string, std::pair<int64_t, int64_t>> sizes = {
      {"q", {32, 64}},    {"k", {16, 64}},  {"v", {16, 64}},   {"o", {64, 32}},
      {"gate", {40, 64}}, {"up", {40, 64}}, {"down", {64, 40}}};
  for (const auto& [part, size] : sizes) {
    pruned["layers.1." + part] = cut(whole["layers.1." + part], size.first, size.second);
  }
  TinyCheckpoint smaller = tiny;
  smaller.config.own_sizes = {{4, 2, 96}, {2, 1, 40}};
  const std::vector<std::string> modes = {"f32", "f32+kv8"};
  ExecutorRig expected(memory_source(tiny_spec(tiny), whole), {.modes = modes});
  ExecutorRig got(memory_source(tiny_spec(smaller), pruned), {.modes = modes});
  const std::vector<int32_t> prompt = random_tokens(9, 40, tiny.config.vocabulary);
  for (ModeIndex mode : {0, 1}) {
    const std::vector<RowResult> a = expected.run(mode, prompt, 40), b = got.run(mode, prompt, 40);
    ASSERT_EQ(a.size(), b.size());
    for (size_t row = 0; row < a.size(); ++row) {
      const std::vector<double> x = logits_of(a[row]), y = logits_of(b[row]);
      for (size_t id = 0; id < x.size(); ++id) ASSERT_NEAR(x[id], y[id], 1e-4) << row << " " << id;
    }
  }
  EXPECT_LT(got.executor().modes()[0].kv_bytes_per_token, expected.executor().modes()[0].kv_bytes_per_token);
}

}  // namespace
}  // namespace halftone
