// What the CUDA backend's attention does in ways of its own: large pages, splits that CTAs share.
#include <gtest/gtest.h>

#include "kernels/kv/kv.h"
#include "tests/kernels/cuda/on_cuda.h"
#include "tests/kernels/devices/attention_on_device.h"
#include "tests/kernels/same_bits.h"

namespace halftone::test {
namespace {

class CudaAttentionTest : public OnDeviceParam {};

// Pages larger than a split.
TEST_P(CudaAttentionTest, PagesLargerThanASplit) {
  for (const KvFormat* format : all_kv_formats()) {
    const AttentionVariant variant{.heads = 4, .head_dim = 24, .page_tokens = 512, .window = 40};
    AttentionOnDevice made(**worker, *format, variant, {291});
    made.step({{0, 290}});
    made.step({{290, 1}});
  }
}

// One CTA walks the splits of a long step, many share those of a decode: the same bits, with sinks and without.
TEST_P(CudaAttentionTest, SharedSplitsHaveTheBitsOfWalkedOnes) {
  for (bool sinks : {false, true}) {
    const AttentionVariant variant{.heads = 4, .kv_heads = 2, .head_dim = 16, .sinks = sinks};
    const std::vector<NewTokens> before = {{0, 600}}, decode = {{600, 1}};
    AttentionOnDevice shared(**worker, *all_kv_formats()[0], variant, {601});
    shared.step(before);
    shared.step(decode);
    Ledger ledger;
    const std::unique_ptr<Device> bare =
        make_test_device(GetParam().device, 1, ledger);  // no workspace: nothing to share
    AttentionOnDevice walked(*bare, *all_kv_formats()[0], variant, {601});
    walked.step(before);
    walked.step(decode);
    EXPECT_TRUE(same_bits(shared.y(), walked.y()));
  }
}

INSTANTIATE_TEST_SUITE_P(AllOrders, CudaAttentionTest, testing::ValuesIn(all_cuda_params()), name_of_device_param);

}  // namespace
}  // namespace halftone::test
