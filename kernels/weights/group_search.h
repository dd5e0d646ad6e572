// What the searches of w4 and w8 share with those who call them: the rows of one group, and one search body for each
// instruction set. A body takes some rows side by side, a lane for each row. Every step is the same operation on all
// lanes and no sum crosses lanes, so all bodies find the same bits. Any thread.
#pragma once

#include <algorithm>
#include <vector>

#include "kernels/contract/numbers.h"
#include "kernels/cpu/cpu_device.h"
#include "kernels/cpu/linear.h"

namespace halftone {

// The same inputs of some rows: row i begins at values + i * stride.
struct GroupRows {
  const float* values = nullptr;
  int64_t stride = 0;
  int64_t rows = 0;  // at most GroupSearch::rows
  int64_t size = 0;  // inputs
};

constexpr int kMaxSearchRows = 32;

// The search of one format for one instruction set.
struct GroupSearch {
  int64_t rows = 0;  // lanes: at most kMaxSearchRows
  // scale, minimum: [rows], values that an f16 holds; a value that is not finite makes its row's scale NaN. w8's search
  // leaves `minimum` alone. tile: scratch for in.size * rows floats.
  void (*find)(const GroupRows& in, float* tile, float* scale, float* minimum) = nullptr;
  // The codes of finite values of one row's group on a grid as found, as WeightRows has them; w8's knows no minimum.
  void (*round)(const float* values, int64_t count, float scale, float minimum, uint8_t* codes) = nullptr;
};

// The bodies of one format, by CpuIsa, and the one for the best instruction set that runs here.
struct GroupSearches {
  const GroupSearch* bodies[kCpuIsas];

  const GroupSearch& best() const {
    static const CpuIsa isa = cpu_isas().front();
    return *bodies[static_cast<int>(isa)];
  }
};

// Half to even, for |value| < 2^22: the addition leaves no place for a fraction.
template <typename T>
T round_even(T value) {
  constexpr float kShift = 0x1.8p23f;
  return (value + T(kShift)) - T(kShift);
}

// Codes are values times this; a scale of 0 makes them 0.
inline float inverse_of(float scale) { return scale > 0 ? 1 / scale : 0; }

}  // namespace halftone
