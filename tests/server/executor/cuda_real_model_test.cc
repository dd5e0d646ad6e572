// The default model through the CUDA kernels, run by this processor: the CPU's tokens.
#include <gtest/gtest.h>

#include "server/text/tokenizer.h"
#include "tests/kernels/cuda/cuda_devices.h"
#include "tests/server/executor/executor_rig.h"
#include "tests/server/executor/real_model.h"

namespace halftone {
namespace {

constexpr int64_t kPrompt = 16, kGenerated = 4;
constexpr float kClear = 0.5f;  // nats between the best two candidates

class CudaRealModel : public testing::TestWithParam<test::TestDevice> {
 protected:
  void SetUp() override { test::skip_unless_here(GetParam()); }
};

TEST_P(CudaRealModel, GivesTheCpusTokens) {
  const std::string reason = why_not_real(true);
  if (!reason.empty()) GTEST_SKIP() << reason;
  ModelSource source = open_source(default_model_path());
  const absl::StatusOr<std::unique_ptr<Tokenizer>> tokenizer = Tokenizer::create(source.vocabulary);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  std::vector<int32_t> tokens = (*tokenizer)->encode("The seven days of the week are Monday, Tuesday, Wednesday,");
  tokens.insert(tokens.begin(), static_cast<size_t>(kPrompt) - std::min<size_t>(kPrompt, tokens.size()),
                tokens.front());
  ASSERT_EQ(std::ssize(tokens), kPrompt);
  RigOptions options{.modes = {"w4a16+kv8"}, .max_context = 64, .kv_bytes = 8 << 20, .max_step_tokens = kPrompt};
  ExecutorRig cpu(source, options);
  const std::vector<int32_t> expected = cpu.greedy(0, tokens, kGenerated);

  std::vector<int32_t> all = tokens;
  all.insert(all.end(), expected.begin(), expected.end() - 1);
  const std::vector<PageId> pages = cpu.take_pages(0, std::ssize(all));
  for (int64_t at = 0; at < std::ssize(all); ++at) {
    LogitRow row;
    row.top = 2;
    const Piece piece{std::span(all).subspan(static_cast<size_t>(at), 1), at, pages, {&row, 1}};
    const RowResult result = cpu.step(0, {&piece, 1}).rows.at(0);
    if (at < kPrompt - 1) continue;
    EXPECT_GT(result.top[0].logprob - result.top[1].logprob, kClear) << "after token " << at;
  }

  options.device = GetParam().name;
  ExecutorRig cuda(source, options);
  EXPECT_EQ(cuda.greedy(0, tokens, kGenerated), expected) << (*tokenizer)->decode(expected);
}

INSTANTIATE_TEST_SUITE_P(All, CudaRealModel, testing::ValuesIn(test::all_cuda_devices()), test::name_of_cuda_device);

}  // namespace
}  // namespace halftone
