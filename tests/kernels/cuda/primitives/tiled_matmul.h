// A small matrix product as kernels of the backend are made, with cp.async, ldmatrix and mma, and the mistakes that one
// can make in it.
#pragma once

#include <cstdint>

#include "kernels/cuda/dialect.h"
#include "kernels/cuda/primitives/barriers.h"
#include "kernels/cuda/primitives/copy.h"
#include "kernels/cuda/primitives/matrix.h"
#include "kernels/cuda/primitives/warp.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {

enum class Mistake {
  kNone,
  kNoBarrier,          // other threads' copies are read before they are there
  kOneGroupTooFew,     // one's own copies are read before they are there
  kOverwritesTooSoon,  // a stage is filled again while others read it
  kSwizzlesOneSide,    // reads with other addresses than it writes
  kReadsBeyondRows,    // of a and b
  kStopsInBarrier,     // one warp leaves out a named barrier
  kSwapsFragments,     // of a
};

constexpr int kTile = 64, kTileK = 32, kStages = 3, kMatmulThreads = 128;
constexpr int kChunk = 8, kChunks = kTileK / kChunk;  // elements of 16 bytes; a row's
constexpr size_t kMatmulSharedBytes = size_t{kStages} * 2 * kTile * kTileK * sizeof(uint16_t);

struct MatmulCall {
  const uint16_t* a = nullptr;  // [m][k] bf16
  const uint16_t* b = nullptr;  // [n][k] bf16
  float* c = nullptr;           // [m][n]
  int m = 0, n = 0, k = 0;      // k % 8 == 0
};

// Where a tile [kTile][kTileK] has 8 elements of a row: so that 8 rows of one chunk lie in different banks.
HALFTONE_HOST_DEVICE constexpr int tile_place(int row, int chunk) {
  return row * kTileK + (chunk ^ (row / 2 % kChunks)) * kChunk;
}

HALFTONE_DEVICE uint16_t* stage_tile(int step, int operand) {
  return dynamic_shared<uint16_t>() + (step % kStages * 2 + operand) * kTile * kTileK;
}

template <Mistake kMistake>
HALFTONE_DEVICE void copy_tile(uint16_t* tile, const uint16_t* matrix, int first_row, int rows, int first_k, int k) {
  for (int i = static_cast<int>(threadIdx.x); i < kTile * kChunks; i += kMatmulThreads) {
    const int row = i / kChunks, chunk = i % kChunks, from_row = first_row + row, from_k = first_k + chunk * kChunk;
    const bool valid = (from_row < rows || kMistake == Mistake::kReadsBeyondRows) && from_k < k;
    cp_async_16(tile + tile_place(row, chunk), matrix + (valid ? static_cast<int64_t>(from_row) * k + from_k : 0),
                valid);
  }
}

template <Mistake kMistake>
HALFTONE_DEVICE void copy_stage(const MatmulCall& call, int step) {
  if (step * kTileK < call.k) {
    const int m = static_cast<int>(blockIdx.x) * kTile, n = static_cast<int>(blockIdx.y) * kTile;
    copy_tile<kMistake>(stage_tile(step, 0), call.a, m, call.m, step * kTileK, call.k);
    copy_tile<kMistake>(stage_tile(step, 1), call.b, n, call.n, step * kTileK, call.k);
  }
  cp_async_commit();
}

// A warp's 32 x 32 of the block's 64 x 64: sums[row of tiles][column of tiles].
template <Mistake kMistake>
HALFTONE_DEVICE void multiply_stage(int step, float (&sums)[2][4][4]) {
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = lane_index();
  const int m = warp / 2 * 32, n = warp % 2 * 32;
  const auto place = [](int row, int chunk) {
    return kMistake == Mistake::kSwizzlesOneSide ? row * kTileK + chunk * kChunk : tile_place(row, chunk);
  };
  HALFTONE_UNROLL
  for (int chunk = 0; chunk < kChunks; chunk += 2) {
    uint32_t a[2][4], b[4][2];
    HALFTONE_UNROLL
    for (int i = 0; i < 2; ++i) {
      ldmatrix_x4(a[i], stage_tile(step, 0) + place(m + 16 * i + lane % 16, chunk + lane / 16));
      if (kMistake == Mistake::kSwapsFragments) {
        const uint32_t other = a[i][1];
        a[i][1] = a[i][2];
        a[i][2] = other;
      }
    }
    HALFTONE_UNROLL
    for (int j = 0; j < 4; ++j) {
      ldmatrix_x2(b[j], stage_tile(step, 1) + place(n + 8 * j + lane % 8, chunk + lane / 8 % 2));
    }
    HALFTONE_UNROLL
    for (int i = 0; i < 2; ++i) {
      HALFTONE_UNROLL
      for (int j = 0; j < 4; ++j) mma_bf16_16816(sums[i][j], a[i], b[j]);
    }
  }
}

HALFTONE_DEVICE void store_sums(const MatmulCall& call, const float (&sums)[2][4][4]) {
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = lane_index();
  const int m = static_cast<int>(blockIdx.x) * kTile + warp / 2 * 32 + lane / 4;
  const int n = static_cast<int>(blockIdx.y) * kTile + warp % 2 * 32 + lane % 4 * 2;
  HALFTONE_UNROLL
  for (int i = 0; i < 2; ++i) {
    HALFTONE_UNROLL
    for (int j = 0; j < 4; ++j) {
      HALFTONE_UNROLL
      for (int e = 0; e < 4; ++e) {
        const int row = m + 16 * i + e / 2 * 8, column = n + 8 * j + e % 2;
        if (row < call.m && column < call.n) call.c[static_cast<int64_t>(row) * call.n + column] = sums[i][j][e];
      }
    }
  }
}

// One block makes 64 x 64 of c; four warps, 32 x 32 each. Copies run kStages - 1 steps ahead.
template <Mistake kMistake>
HALFTONE_KERNEL void HALFTONE_LAUNCH_BOUNDS(kMatmulThreads, 1)
    tiled_matmul(HALFTONE_GRID_CONSTANT const MatmulCall call) {
  float sums[2][4][4] = {};
  for (int step = 0; step < kStages - 1; ++step) copy_stage<kMistake>(call, step);
  for (int step = 0; step * kTileK < call.k; ++step) {
    constexpr int kGroupsLeft = kStages - 2 + (kMistake == Mistake::kOneGroupTooFew ? 1 : 0);
    cp_async_wait<kGroupsLeft>();
    if (kMistake == Mistake::kOverwritesTooSoon) copy_stage<kMistake>(call, step + kStages - 1);
    if (kMistake == Mistake::kStopsInBarrier) {
      if (threadIdx.x >= 32) named_barrier(1, kMatmulThreads);
    } else if (kMistake != Mistake::kNoBarrier) {
      block_barrier();  // the stage is there for all; and all are done with the one before it
    }
    if (kMistake != Mistake::kOverwritesTooSoon) copy_stage<kMistake>(call, step + kStages - 1);
    multiply_stage<kMistake>(step, sums);
  }
  store_sums(call, sums);
}

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
