// How products are cut for a card: every row, token and input exactly once.
#include "kernels/cuda/product_plan.h"

#include <gtest/gtest.h>

namespace halftone::product {
namespace {

constexpr int kProcessors[] = {1, 4, 108, 132};

TEST(ProductPlan, PiecesDoNotDependOnTheBatchAndAreLongEnough) {
  for (int processors : kProcessors) {
    for (int row_blocks : {1, 3, 16, 64, 224, 2004}) {
      for (int tiles : {1, 2, 9, 16, 64, 224}) {
        const int pieces = plan_pieces(row_blocks, tiles, processors);
        EXPECT_TRUE(pieces == 1 || pieces == 2 || pieces == 4 || pieces == 8);
        if (pieces > 1) {
          EXPECT_GE(tiles / pieces, kPieceTiles);
          EXPECT_LT(row_blocks * pieces, 2 * kBusyBlocks * processors);
        }
        if (pieces < kPiecesMost && tiles / (2 * pieces) >= kPieceTiles) {
          EXPECT_GE(row_blocks * pieces, kBusyBlocks * processors) << "blocks are missing, and there was more to cut";
        }
      }
    }
  }
}

TEST(ProductPlan, BlocksCoverTheTokensOnce) {
  for (int tokens = 1; tokens <= 300; ++tokens) {
    const Plan plan = plan_product(64, tokens, 8, 132);
    const int per_block = plan.columns * kTokenColumns;
    EXPECT_GE(plan.token_blocks * per_block, tokens);
    EXPECT_LT((plan.token_blocks - 1) * per_block, tokens);
    EXPECT_TRUE(plan.columns == 8 || plan.token_blocks == 1) << tokens;
    EXPECT_EQ(plan.row_blocks, 64);
  }
}

TEST(ProductPlan, PiecesAreWrittenApartWhereBlocksAreMissing) {
  EXPECT_EQ(plan_product(224, 1, 4, 132).parts, 4) << "a decode wants all bytes at once";
  EXPECT_EQ(plan_product(224, 128, 4, 132).parts, 1) << "448 blocks are enough for 132 processors";
  EXPECT_EQ(plan_product(16, 128, 8, 132).parts, 8) << "32 blocks are not";
  EXPECT_EQ(plan_product(16, 128, 1, 132).parts, 1);
}

}  // namespace
}  // namespace halftone::product
