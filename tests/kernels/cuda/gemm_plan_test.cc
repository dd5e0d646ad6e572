// How GEMMs are cut for a GPU: every row, token and input exactly once.
#include "kernels/cuda/gemm_plan.h"

#include <gtest/gtest.h>

namespace halftone::gemm {
namespace {

constexpr int kSmCounts[] = {1, 4, 108, 132};

TEST(GemmPlan, KSplitsDoNotDependOnTheBatchAndAreLongEnough) {
  for (int sm_count : kSmCounts) {
    for (int row_blocks : {1, 3, 16, 64, 224, 2004}) {
      for (int tiles : {1, 2, 9, 16, 64, 224}) {
        const int k_splits = plan_k_splits(row_blocks, tiles, sm_count);
        EXPECT_TRUE(k_splits == 1 || k_splits == 2 || k_splits == 4 || k_splits == 8);
        if (k_splits > 1) {
          EXPECT_GE(tiles / k_splits, kMinSplitTiles);
          EXPECT_LT(row_blocks * k_splits, 2 * kBusyCtasPerSm * sm_count);
        }
        if (k_splits < kMaxKSplits && tiles / (2 * k_splits) >= kMinSplitTiles) {
          EXPECT_GE(row_blocks * k_splits, kBusyCtasPerSm * sm_count)
              << "CTAs are missing, and there was more to split";
        }
      }
    }
  }
}

TEST(GemmPlan, BlocksCoverTheTokensOnce) {
  for (int tokens = 1; tokens <= 300; ++tokens) {
    const Plan plan = plan_gemm(64, tokens, 8, 132);
    const int per_block = plan.n_tiles * kNTileTokens;
    EXPECT_GE(plan.token_blocks * per_block, tokens);
    EXPECT_LT((plan.token_blocks - 1) * per_block, tokens);
    EXPECT_TRUE(plan.n_tiles == 8 || plan.token_blocks == 1) << tokens;
    EXPECT_EQ(plan.row_blocks, 64);
  }
}

TEST(GemmPlan, SplitsAcrossCtasWhereCtasAreFew) {
  EXPECT_EQ(plan_gemm(224, 1, 4, 132).split_partials, 4) << "a decode wants all bytes at once";
  EXPECT_EQ(plan_gemm(224, 128, 4, 132).split_partials, 1) << "448 CTAs are enough for 132 SMs";
  EXPECT_EQ(plan_gemm(16, 128, 8, 132).split_partials, 8) << "32 CTAs are not";
  EXPECT_EQ(plan_gemm(16, 128, 1, 132).split_partials, 1);
}

}  // namespace
}  // namespace halftone::gemm
