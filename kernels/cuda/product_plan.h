// How a product is cut for tensor cores: host code, plain numbers.
#pragma once

namespace halftone::product {

constexpr int kTokenColumns = 8;                 // tokens of one mma
constexpr int kPiecesMost = 8, kPieceTiles = 8;  // pieces of the inputs; a piece is at least so many tiles long
constexpr int kBusyBlocks = 4;                   // of a processor, before their loads hide each other
constexpr int kDecodeTokens = 16;

// Pieces of the inputs that are added up for themselves. Of the matrix and the card alone: how an output is added up
// must not depend on the batch.
constexpr int plan_pieces(int row_blocks, int tiles, int processors) {
  int pieces = 1;
  while (pieces < kPiecesMost && row_blocks * pieces < kBusyBlocks * processors &&
         tiles / (2 * pieces) >= kPieceTiles) {
    pieces *= 2;
  }
  return pieces;
}

struct Plan {
  int columns = 1;                       // eights of tokens that a block multiplies by: 1, 2, 4 or 8
  int row_blocks = 1, token_blocks = 1;  // grid x and y
  int parts = 1;  // grid z: the pieces, written each for itself, or 1: a block adds them up as it goes
};

// Few tokens are bound by bytes, and more blocks ask for more of them at once.
constexpr Plan plan_product(int row_blocks, int tokens, int pieces, int processors) {
  int columns = 1;
  while (columns < 8 && columns * kTokenColumns < tokens) columns *= 2;
  const int per_block = columns * kTokenColumns, token_blocks = (tokens + per_block - 1) / per_block;
  const bool alone = tokens <= kDecodeTokens || row_blocks * token_blocks < processors;
  return {columns, row_blocks, token_blocks, alone ? pieces : 1};
}

}  // namespace halftone::product
