// Reductions over a CTA of whole warps, in one order: the lanes of a warp by a tree, then the warps one after the
// other.
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

// Several numbers, each by itself; every thread gets the results. scratch: shared, kCount floats for each warp; free
// again when the call returns.
template <typename Op, int kCount>
HALFTONE_DEVICE void reduce_cta(float (&values)[kCount], float* scratch) {
  const int warps = static_cast<int>(blockDim.x) / kWarp;
  HALFTONE_UNROLL
  for (int i = 0; i < kCount; ++i) {
    values[i] = Op::of_warp(values[i]);
    if (threadIdx.x % kWarp == 0) scratch[static_cast<int>(threadIdx.x) / kWarp * kCount + i] = values[i];
  }
  block_barrier();
  HALFTONE_UNROLL
  for (int i = 0; i < kCount; ++i) {
    values[i] = scratch[i];
    for (int warp = 1; warp < warps; ++warp) values[i] = Op::of(values[i], scratch[warp * kCount + i]);
  }
  block_barrier();
}

template <typename Op>
HALFTONE_DEVICE float reduce_cta(float value, float* scratch) {
  float values[1] = {value};
  reduce_cta<Op>(values, scratch);
  return values[0];
}

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
