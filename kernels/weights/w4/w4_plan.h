// How a w4 product is cut for tensor cores: host code, plain numbers.
#pragma once

#include <cstdint>

namespace halftone::w4 {

constexpr int kStages = 4;        // tiles of inputs in flight
constexpr int kSplitTiles = 8;    // a piece of the inputs is at least so long
constexpr int kTokenColumns = 8;  // tokens of one mma

struct Plan {
  int columns = 1;       // eights of tokens that a block multiplies by: 1, 2, 4 or 8
  int row_blocks = 1;    // grid x
  int token_blocks = 1;  // grid y
  int splits = 1;        // grid z
};

// Of the matrix and the card alone: how an output is added up must not depend on the batch.
constexpr int plan_splits(int row_blocks, int tiles, int processors) {
  int splits = 1;
  while (row_blocks * splits < processors && tiles / (2 * splits) >= kSplitTiles) splits *= 2;
  return splits;
}

constexpr Plan plan_product(int row_blocks, int tokens, int splits) {
  int columns = 1;
  while (columns < 8 && columns * kTokenColumns < tokens) columns *= 2;
  const int per_block = columns * kTokenColumns;
  return {columns, row_blocks, (tokens + per_block - 1) / per_block, splits};
}

}  // namespace halftone::w4
