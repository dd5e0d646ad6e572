// The loops behind Floor, over the vector primitives S of kernels/cpu/simd.
#pragma once

#include <cstdint>

#include "bench/floor.h"

namespace halftone::bench {
namespace {

template <class S>
float read(const float* data, int64_t count) {
  typename S::F sums[4] = {S::zero(), S::zero(), S::zero(), S::zero()};
  for (int64_t i = 0; i < count; i += 4 * S::kLanes) {
    for (int j = 0; j < 4; ++j) sums[j] = S::add(sums[j], S::load(data + i + j * S::kLanes));
  }
  return S::reduce_add(S::add(S::add(sums[0], sums[1]), S::add(sums[2], sums[3])));
}

// Six sums of two registers each: enough to hide the latency of an fma, few enough to stay in registers.
template <class S>
float multiply_add(int64_t rounds, int64_t* fmas) {
  constexpr int kSums = 6;
  typename S::F sums[kSums];
  for (int j = 0; j < kSums; ++j) sums[j] = S::broadcast(static_cast<float>(j));
  const typename S::F factor = S::broadcast(0.999f), term = S::broadcast(0.5f);
  for (int64_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 8
    for (int j = 0; j < kSums; ++j) sums[j] = S::fma(sums[j], factor, term);
  }
  *fmas = rounds * kSums * S::kLanes;
  typename S::F all = S::zero();
  for (int j = 0; j < kSums; ++j) all = S::add(all, sums[j]);
  return S::reduce_add(all);
}

}  // namespace
}  // namespace halftone::bench
