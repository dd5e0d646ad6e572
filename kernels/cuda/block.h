// Reductions over a block of whole warps, in one order: lanes of a warp by a tree, then the warps one after the other.
#pragma once

#include "kernels/cuda/launch.h"
#include "kernels/cuda/primitives/barriers.h"
#include "kernels/cuda/primitives/warp.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {

constexpr int kWarp = 32;

struct Sum {
  HALFTONE_DEVICE static float of_warp(float value) { return reduce_sum(value); }
  HALFTONE_DEVICE static float of(float a, float b) { return a + b; }
};
struct Max {
  HALFTONE_DEVICE static float of_warp(float value) { return reduce_max(value); }
  HALFTONE_DEVICE static float of(float a, float b) { return a < b ? b : a; }
};

// Every thread gets the result. scratch: shared, a float for each warp; free again when the call returns.
template <typename Op>
HALFTONE_DEVICE float reduce_block(float value, float* scratch) {
  const int warps = static_cast<int>(blockDim.x) / kWarp;
  value = Op::of_warp(value);
  if (threadIdx.x % kWarp == 0) scratch[threadIdx.x / kWarp] = value;
  block_barrier();
  float all = scratch[0];
  for (int i = 1; i < warps; ++i) all = Op::of(all, scratch[i]);
  block_barrier();
  return all;
}

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
