// The loops behind DeviceRoofline, over the vector primitives S. What they return depends on all of the work, so
// nothing is left out.
#pragma once

#include <cstdint>

namespace halftone {
namespace {

template <class S>
float read_all(const float* data, int64_t count) {
  typename S::F sums[4] = {S::zero(), S::zero(), S::zero(), S::zero()};
  for (int64_t i = 0; i < count; i += 4 * S::kLanes) {
    for (int j = 0; j < 4; ++j) sums[j] = S::add(sums[j], S::load(data + i + j * S::kLanes));
  }
  return S::reduce_add(S::add(S::add(sums[0], sums[1]), S::add(sums[2], sums[3])));
}

// Twelve registers of sums hide the latency of two fma a clock, and leave some of AVX2's sixteen for the rest.
template <class S>
float multiply_floats(int64_t rounds, int64_t* multiply_adds) {
  constexpr int kFloorSums = 12 / S::kLaneRegisters;
  typename S::F sums[kFloorSums];
  for (int j = 0; j < kFloorSums; ++j) sums[j] = S::broadcast(static_cast<float>(j));
  const typename S::F factor = S::broadcast(0.999f), term = S::broadcast(0.5f);
  for (int64_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 12
    for (int j = 0; j < kFloorSums; ++j) sums[j] = S::fma(sums[j], factor, term);
  }
  *multiply_adds = rounds * kFloorSums * S::kLanes;
  typename S::F all = S::zero();
  for (int j = 0; j < kFloorSums; ++j) all = S::add(all, sums[j]);
  return S::reduce_add(all);
}

// kAdd: S::add_u4 or S::add_s8. The codes stay in registers, each sum's activations come from the first-level cache. No
// two products are the same, or the compiler would make one of them.
template <class S, auto kAdd, int kSums>
float multiply_integers(int64_t rounds, int64_t* multiply_adds) {
  int8_t x[kSums][64];
  for (int i = 0; i < kSums * 64; ++i) x[i / 64][i % 64] = static_cast<int8_t>((rounds + i * 7) % 5 - 2);
  int8_t lanes[S::kLanes * 4];
  for (int i = 0; i < S::kLanes * 4; ++i) lanes[i] = static_cast<int8_t>((rounds + i * 3) % 11);
  typename S::I sums[kSums];
  for (int j = 0; j < kSums; ++j) sums[j] = S::broadcast_int(j);
  const typename S::I codes = S::load_i32(lanes);
  for (int64_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 8
    for (int j = 0; j < kSums; ++j) sums[j] = kAdd(sums[j], codes, x[j] + (i & 15) * 4);
  }
  *multiply_adds = rounds * kSums * S::kLanes * 4;
  typename S::I all = S::zero_int();
  for (int j = 0; j < kSums; ++j) all = S::add_int(all, sums[j]);
  return static_cast<float>(S::reduce_add_int(all));
}

}  // namespace
}  // namespace halftone
