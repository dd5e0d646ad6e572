// Models on the CUDA backend: the CPU's logits but for what bf16 activations cost, and the same bits for a token in any
// chunk, batch or replay.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <tuple>

#include "kernels/reference/exact.h"
#include "tests/kernels/cuda/cuda_devices.h"
#include "tests/server/executor/executor_rig.h"
#include "tests/server/model/memory_source.h"

namespace halftone {
namespace {

// Every weight format meets both KV formats; under a sanitizer, which takes ten times as long, one of them.
const std::vector<std::string> kModes =
    HALFTONE_SANITIZED ? std::vector<std::string>{"bf16+kv8", "w8a16", "w4a16+kv8"}
                       : std::vector<std::string>{"bf16", "bf16+kv8", "w8a16", "w8a16+kv8", "w4a16", "w4a16+kv8"};
constexpr int64_t kTokens = 40;

// Each rounding to bf16 on the way to a logit moves it by at most half a unit in the last place of the range. A code of
// kv8 that falls to the other side moves a key or a value by its step, 1 / 127 of the largest: four such halves.
double tolerance(const TinyConfig& config, bool kv8, std::span<const double> logits) {
  const auto [least, most] = std::minmax_element(logits.begin(), logits.end());
  // Of a layer: two norms, q rotated, k and v, what attention and the gate write, two sums; then the last norm. Gemma's
  // also what attention and MLP give before its norm.
  const double of_layer = (kv8 ? 17.0 : 9.0) + (is_gemma(config) ? 2.0 : 0.0);
  const double roundings = of_layer * static_cast<double>(config.layers) + 1;
  return roundings * reference::kBf16Rounding / 2 * (*most - *least);
}

class OnCudaDevice : public testing::TestWithParam<test::TestDevice> {
 protected:
  void SetUp() override { test::skip_unless_here(GetParam()); }
};

class CudaFamilies : public testing::TestWithParam<std::tuple<test::TestDevice, std::string>> {
 protected:
  void SetUp() override { test::skip_unless_here(std::get<0>(GetParam())); }
};

TEST_P(CudaFamilies, GivesTheCpusLogitsForEveryFamilyInEveryMode) {
  const auto& [device, family] = GetParam();
  TinyCheckpoint tiny;
  tiny.config = tiny_config(family);
  if (family == "mistral") tiny.config.sliding_window = 13;
  const std::vector<int32_t> prompt = random_tokens(3, kTokens, tiny.config.vocabulary);
  ExecutorRig cpu(tiny_source(tiny), {.modes = kModes});
  ExecutorRig cuda(tiny_source(tiny), {.modes = kModes, .device = device.name});
  for (const std::string& id : kModes) {
    const bool kv8 = id.ends_with("+kv8");
    const std::vector<RowResult> expected = cpu.run(cpu.mode(id), prompt, kTokens);
    const std::vector<RowResult> whole = cuda.run(cuda.mode(id), prompt, kTokens);
    for (size_t row = 0; row < expected.size(); ++row) {
      const std::vector<double> a = logits_of(expected[row]), b = logits_of(whole[row]);
      ASSERT_EQ(a.size(), b.size());
      for (size_t i = 0; i < a.size(); ++i) {
        ASSERT_NEAR(a[i], b[i], tolerance(tiny.config, kv8, a)) << id << ", row " << row << ", token " << i;
      }
    }
    expect_same_rows(whole, cuda.run(cuda.mode(id), prompt, 7), id + " in chunks of 7");
    expect_same_rows(whole, cuda.run(cuda.mode(id), prompt, 1), id + " token by token, replayed");
  }
}

INSTANTIATE_TEST_SUITE_P(All, CudaFamilies,
                         testing::Combine(testing::ValuesIn(test::all_cuda_devices()),
                                          testing::Values("llama", "mistral", "qwen2", "qwen3", "gemma2", "gemma3")),
                         [](const auto& info) {
                           const test::TestDevice& device = std::get<0>(info.param);
                           return (device.name == "cuda:0" ? "card_" : "host_") + std::get<1>(info.param);
                         });

// Sequences of two modes, decoded in turns and in changing company beside a prompt: each as it is alone.
TEST_P(OnCudaDevice, ATokenDoesNotDependOnItsCompany) {
  const std::vector<std::string> modes = {"w4a16", "bf16+kv8"};
  ExecutorRig rig(tiny_source(), {.modes = modes, .device = GetParam().name});
  const int64_t vocabulary = rig.executor().vocabulary();
  for (ModeIndex mode : {0, 1}) {
    std::vector<std::vector<int32_t>> texts;
    std::vector<std::vector<RowResult>> alone;
    std::vector<std::vector<PageId>> pages;
    for (uint64_t s = 0; s < 5; ++s) {
      texts.push_back(random_tokens(s, 12, vocabulary));
      alone.push_back(rig.run(mode, texts.back(), 5));
      pages.push_back(rig.take_pages(mode, 12));
    }
    const std::vector<int32_t> prompt = random_tokens(9, 20, vocabulary);
    const std::vector<PageId> prompt_pages = rig.take_pages(mode, 20);
    for (int64_t step = 0; step < 12; ++step) {
      std::vector<Piece> pieces;
      for (size_t s = 0; s < 5; ++s) {
        pieces.push_back({std::span(texts[s]).subspan(static_cast<size_t>(step), 1), step, pages[s], {}, true});
      }
      if (step % 3 == 2) pieces.push_back({prompt, 0, prompt_pages, {}, false});
      const StepOutput output = rig.step(mode, pieces);
      for (size_t s = 0; s < 5; ++s) {
        expect_same_rows({&alone[s][static_cast<size_t>(step)], 1}, {&output.rows[s], 1},
                         modes[static_cast<size_t>(mode)] + ", step " + std::to_string(step));
      }
    }
  }
}

// Decodes of one row whose recorded steps must not be taken for each other: another number of splits, and a table of
// pages that made the batch's memory move.
TEST_P(OnCudaDevice, AReplayIsOfItsOwnSize) {
  TinyCheckpoint tiny;
  tiny.config.context = 640;
  ExecutorRig rig(tiny_source(tiny), {.modes = {"w4a16"}, .max_step_tokens = 16, .device = GetParam().name});
  const std::vector<int32_t> text = random_tokens(4, 516, rig.executor().vocabulary());
  const std::span<const int32_t> brief = std::span(text).first(3);
  const std::vector<RowResult> before = rig.run(0, brief, 1);
  const std::vector<PageId> pages = rig.take_pages(0, 516);
  rig.run(0, std::span(text).first(510), pages, 16);
  const std::vector<RowResult> replayed = rig.run(0, text, pages, 1, 510);
  expect_same_rows(replayed, rig.run(0, text, pages, 16, 510), "over the edge of the second split");
  expect_same_rows(before, rig.run(0, brief, 1), "three tokens, before and after");
}

TEST_P(OnCudaDevice, RefusesWhatItHasNoKernelFor) {
  Ledger ledger;
  const std::unique_ptr<Device> device = test::make_test_device(GetParam(), 1, ledger);
  for (const char* mode : {"f32", "w4a8"}) {
    const absl::Status status =
        LocalExecutor::create(tiny_source(), *device, {.modes = *parse_modes(mode), .kv_bytes = 1 << 20}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  }
}

INSTANTIATE_TEST_SUITE_P(All, OnCudaDevice, testing::ValuesIn(test::all_cuda_devices()), test::name_of_cuda_device);

}  // namespace
}  // namespace halftone
