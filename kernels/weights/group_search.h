// What the searches of w4 and w8 share: one group of up to eight rows side by side, a lane for each row. Every step of
// a search is the same operation on eight numbers, and no sum crosses lanes: the same bits everywhere. Any thread.
#pragma once

#include <algorithm>
#include <vector>

#include "kernels/contract/numbers.h"
#include "kernels/contract/weight_format.h"

namespace halftone {

constexpr int kSearchRows = 8;

// The same inputs of some rows: row i begins at values + i * stride.
struct GroupRows {
  const float* values = nullptr;
  int64_t stride = 0;
  int64_t rows = 0;  // at most kSearchRows
  int64_t size = 0;  // inputs
};

// Two vectors of the compiler's own, of a size that every machine has.
struct Lanes {
  using Four = float __attribute__((vector_size(16)));
  using FourInts = int32_t __attribute__((vector_size(16)));
  struct Mask {
    FourInts half[2];
  };
  Four half[2];

  Lanes() : Lanes(0) {}
  // NOLINTNEXTLINE(google-explicit-constructor): a number stands for eight of it.
  Lanes(float v) : half{{v, v, v, v}, {v, v, v, v}} {}
  Lanes(Four first, Four second) : half{first, second} {}
  float operator[](int i) const { return half[i / 4][i % 4]; }
  void set(int i, float v) { half[i / 4][i % 4] = v; }

  friend Lanes operator+(Lanes a, Lanes b) { return {a.half[0] + b.half[0], a.half[1] + b.half[1]}; }
  friend Lanes operator-(Lanes a, Lanes b) { return {a.half[0] - b.half[0], a.half[1] - b.half[1]}; }
  friend Lanes operator*(Lanes a, Lanes b) { return {a.half[0] * b.half[0], a.half[1] * b.half[1]}; }
  friend Lanes operator/(Lanes a, Lanes b) { return {a.half[0] / b.half[0], a.half[1] / b.half[1]}; }
  friend Mask operator<(Lanes a, Lanes b) { return {{a.half[0] < b.half[0], a.half[1] < b.half[1]}}; }
  Lanes& operator+=(Lanes b) { return *this = *this + b; }
};

inline Lanes select(Lanes::Mask m, Lanes yes, Lanes no) {
  return {m.half[0] ? yes.half[0] : no.half[0], m.half[1] ? yes.half[1] : no.half[1]};
}
// The second where the first is NaN.
inline Lanes least(Lanes a, Lanes b) { return select(a < b, a, b); }
inline Lanes greatest(Lanes a, Lanes b) { return select(b < a, a, b); }

// Half to even, for |value| < 2^22: the addition leaves no place for a fraction.
template <typename T>
T round_even(T value) {
  constexpr float kShift = 0x1.8p23f;
  return (value + T(kShift)) - T(kShift);
}

// [size] inputs of all rows; a lane without a row holds zeros.
using GroupTile = std::vector<Lanes>;

inline void load_tile(const GroupRows& in, GroupTile* tile) {
  tile->assign(static_cast<size_t>(in.size), Lanes());
  for (int64_t row = 0; row < in.rows; ++row) {
    const float* from = in.values + row * in.stride;
    for (int64_t i = 0; i < in.size; ++i) (*tile)[static_cast<size_t>(i)].set(static_cast<int>(row), from[i]);
  }
}

// What is beyond the range of an f16 becomes the end of the range; NaN stays NaN.
inline uint16_t f16_in_range(float value) { return f16_from_f32(std::clamp(value, -kF16Max, kF16Max)); }

// Codes are values times this; a scale of 0 makes them 0.
inline float inverse_of(float scale) { return scale > 0 ? 1 / scale : 0; }
inline Lanes inverse_of(Lanes scale) { return select(Lanes(0) < scale, Lanes(1) / scale, Lanes(0)); }

inline Lanes f32_lanes(const uint16_t* halves) {
  Lanes out;
  for (int i = 0; i < kSearchRows; ++i) out.set(i, f32_from_f16(halves[i]));
  return out;
}
inline void f16_lanes_in_range(Lanes values, uint16_t* halves) {
  for (int i = 0; i < kSearchRows; ++i) halves[i] = f16_in_range(values[i]);
}

}  // namespace halftone
