// Exchange and reduction among the 32 lanes of a warp: all of them take part. sm_80.
#pragma once

#include <cstdint>
#include <type_traits>

#include "kernels/cuda/dialect.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {

#ifdef __CUDACC__

HALFTONE_DEVICE int lane_index() {
  int lane;
  asm("mov.u32 %0, %%laneid;" : "=r"(lane));
  return lane;
}

// T is float, int32_t or uint32_t.
template <typename T>
HALFTONE_DEVICE T shuffle_xor(T value, int mask, CallSite = CallSite::here()) {
  return __shfl_xor_sync(0xffffffffu, value, mask);
}

// Of lane + delta; the last delta lanes get their own.
template <typename T>
HALFTONE_DEVICE T shuffle_down(T value, int delta, CallSite = CallSite::here()) {
  return __shfl_down_sync(0xffffffffu, value, static_cast<unsigned>(delta));
}

template <typename T>
HALFTONE_DEVICE T shuffle_index(T value, int from, CallSite = CallSite::here()) {
  return __shfl_sync(0xffffffffu, value, from);
}

// Bit i: lane i's.
HALFTONE_DEVICE uint32_t ballot(bool yes, CallSite = CallSite::here()) { return __ballot_sync(0xffffffffu, yes); }

#else

HALFTONE_DEVICE int lane_index() { return machine::lane(); }

template <typename T>
struct Shuffle {
  T value;
  int from;  // lane
  T result;
};

template <typename T>
HALFTONE_DEVICE T shuffle_index(T value, int from, CallSite site = CallSite::here()) {
  static_assert(sizeof(T) == 4 && std::is_arithmetic_v<T>);
  Shuffle<T> mine{value, from & (machine::kLanes - 1), {}};
  auto exchange = [](void* const* operands) {
    for (int lane = 0; lane < machine::kLanes; ++lane) {
      auto& to = *static_cast<Shuffle<T>*>(operands[lane]);
      to.result = static_cast<Shuffle<T>*>(operands[to.from])->value;
    }
  };
  machine::meet(machine::Meeting::kShuffle, &mine, exchange, site);
  return mine.result;
}

template <typename T>
HALFTONE_DEVICE T shuffle_xor(T value, int mask, CallSite site = CallSite::here()) {
  return shuffle_index(value, lane_index() ^ mask, site);
}

template <typename T>
HALFTONE_DEVICE T shuffle_down(T value, int delta, CallSite site = CallSite::here()) {
  const int from = lane_index() + delta;
  return shuffle_index(value, from < machine::kLanes ? from : lane_index(), site);
}

struct Vote {
  bool yes;
  uint32_t result;
};

HALFTONE_DEVICE uint32_t ballot(bool yes, CallSite site = CallSite::here()) {
  Vote mine{yes, 0};
  auto count = [](void* const* operands) {
    uint32_t votes = 0;
    for (int lane = 0; lane < machine::kLanes; ++lane) {
      votes |= static_cast<uint32_t>(static_cast<Vote*>(operands[lane])->yes) << lane;
    }
    for (int lane = 0; lane < machine::kLanes; ++lane) static_cast<Vote*>(operands[lane])->result = votes;
  };
  machine::meet(machine::Meeting::kVote, &mine, count, site);
  return mine.result;
}

#endif

HALFTONE_DEVICE bool any(bool yes, CallSite site = CallSite::here()) { return ballot(yes, site) != 0; }
HALFTONE_DEVICE bool all(bool yes, CallSite site = CallSite::here()) { return ballot(yes, site) == 0xffffffffu; }

// Over all lanes, the same result in each, to the bit: partners at distance 16, 8, 4, 2, 1.
template <typename T>
HALFTONE_DEVICE T reduce_sum(T value, CallSite site = CallSite::here()) {
  HALFTONE_UNROLL
  for (int distance = 16; distance > 0; distance /= 2) value += shuffle_xor(value, distance, site);
  return value;
}

template <typename T>
HALFTONE_DEVICE T reduce_max(T value, CallSite site = CallSite::here()) {
  HALFTONE_UNROLL
  for (int distance = 16; distance > 0; distance /= 2) {
    const T other = shuffle_xor(value, distance, site);
    value = other > value ? other : value;
  }
  return value;
}

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
