// How a GEMM is cut into CTAs and k-splits: host code over plain numbers.
#pragma once

namespace halftone::gemm {

constexpr int kNTileTokens = 8;                     // tokens of one mma.m16n8k16
constexpr int kMaxKSplits = 8, kMinSplitTiles = 8;  // k-tiles that a split has at least
constexpr int kBusyCtasPerSm = 4;                   // from which on the loads of some hide the waits of others
constexpr int kDecodeTokens = 16;                   // at most: bound by bytes

// The number of k-splits: ranges of inputs whose partial sums are made apart and then added in ascending order. Depends
// on the matrix and the GPU alone, since it fixes the summation order, which must not depend on the batch.
constexpr int plan_k_splits(int row_blocks, int tiles, int sm_count) {
  int k_splits = 1;
  while (k_splits < kMaxKSplits && row_blocks * k_splits < kBusyCtasPerSm * sm_count &&
         tiles / (2 * k_splits) >= kMinSplitTiles) {
    k_splits *= 2;
  }
  return k_splits;
}

struct Plan {
  int n_tiles = 1;                       // of 8 tokens, that a CTA computes: 1, 2, 4 or 8
  int row_blocks = 1, token_blocks = 1;  // grid x and y
  int split_partials = 1;  // grid z: k_splits (each CTA writes partials of one), or 1 (a CTA walks and adds them all)
};

// Few tokens are bound by bytes: split-K gives more CTAs, which keep more loads in flight.
constexpr Plan plan_gemm(int row_blocks, int tokens, int k_splits, int sm_count) {
  int n_tiles = 1;
  while (n_tiles < 8 && n_tiles * kNTileTokens < tokens) n_tiles *= 2;
  const int per_block = n_tiles * kNTileTokens, token_blocks = (tokens + per_block - 1) / per_block;
  const bool split_k = tokens <= kDecodeTokens || row_blocks * token_blocks < sm_count;
  return {n_tiles, row_blocks, token_blocks, split_k ? k_splits : 1};
}

}  // namespace halftone::gemm
