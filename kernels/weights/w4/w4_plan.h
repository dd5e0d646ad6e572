// How a w4 product is cut for tensor cores: host code, plain numbers.
#pragma once

#include <cstdint>

namespace halftone::w4 {

constexpr int kTokenColumns = 8;  // tokens of one mma
constexpr int kDecodeTokens = 16;
constexpr int kPiecesMost = 8, kPieceTiles = 8;  // pieces of the inputs; a piece is at least so many tiles long
constexpr int kBusyWarps = 16;                   // of a processor, before its loads hide each other

// Pieces of the inputs that are added up for themselves. Of the matrix and the card alone: how an output is added up
// must not depend on the batch.
constexpr int plan_pieces(int row_blocks, int tiles, int processors) {
  constexpr int kStrips = 4;  // of a block of rows
  int pieces = 1;
  while (pieces < kPiecesMost && row_blocks * kStrips * pieces < processors * kBusyWarps &&
         tiles / (2 * pieces) >= kPieceTiles) {
    pieces *= 2;
  }
  return pieces;
}

// For few tokens: a warp for each piece of each strip of 16 rows.
struct DecodePlan {
  int columns = 1;  // eights of tokens
  int strips = 1;   // of a block of threads
  int warps = 1;    // strips x pieces
  int blocks = 1;
};
constexpr DecodePlan plan_decode(int row_blocks, int tokens, int pieces) {
  constexpr int kWarpsLeast = 4;
  const int strips = pieces < kWarpsLeast ? kWarpsLeast / pieces : 1;
  return {tokens <= kTokenColumns ? 1 : 2, strips, strips * pieces, row_blocks * 4 / strips};
}

// For more tokens: a block of threads for each block of rows and some eights of tokens; one for each piece, too, where
// processors would have nothing to do otherwise.
struct PrefillPlan {
  int columns = 4;  // eights of tokens that a block multiplies by: 4 or 8
  int row_blocks = 1, token_blocks = 1;
  int parts = 1;  // the pieces that are written each for itself, or 1: the block adds them up
};
constexpr PrefillPlan plan_prefill(int row_blocks, int tokens, int pieces, int processors) {
  const int columns = tokens <= 4 * kTokenColumns ? 4 : 8, per_block = columns * kTokenColumns;
  const int token_blocks = (tokens + per_block - 1) / per_block;
  return {columns, row_blocks, token_blocks, row_blocks * token_blocks < processors ? pieces : 1};
}

}  // namespace halftone::w4
