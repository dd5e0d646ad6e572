// The lanes of a group search. Internal linkage on purpose: files of other instruction sets must not share compiled
// copies.
#pragma once

#include "kernels/weights/group_search.h"

namespace halftone {
namespace {

// The compiler's own vectors, by their bytes. g++ 12 ignores a size that is a template's parameter.
template <int kBytes>
struct Vectors;
template <>
struct Vectors<16> {
  using Floats = float __attribute__((vector_size(16)));
  using Ints = int32_t __attribute__((vector_size(16)));
};
template <>
struct Vectors<32> {
  using Floats = float __attribute__((vector_size(32)));
  using Ints = int32_t __attribute__((vector_size(32)));
};
template <>
struct Vectors<64> {
  using Floats = float __attribute__((vector_size(64)));
  using Ints = int32_t __attribute__((vector_size(64)));
};

// Two of the compiler's own vectors of so many bytes: a float for each row.
template <int kBytes>
struct Lanes {
  static constexpr int kOne = kBytes / 4, kRows = 2 * kOne;
  using Floats = typename Vectors<kBytes>::Floats;
  using Ints = typename Vectors<kBytes>::Ints;
  struct Mask {
    Ints half[2];
  };
  Floats half[2];

  Lanes() : Lanes(0) {}
  // NOLINTNEXTLINE(google-explicit-constructor): a number stands for a vector of it.
  Lanes(float v) : half{Floats{} + v, Floats{} + v} {}
  Lanes(const Floats& first, const Floats& second) : half{first, second} {}

  static Lanes load(const float* from) {
    Lanes out;
    __builtin_memcpy(out.half, from, sizeof out.half);
    return out;
  }
  void store(float* to) const { __builtin_memcpy(to, half, sizeof half); }

  friend Lanes operator+(const Lanes& a, const Lanes& b) { return {a.half[0] + b.half[0], a.half[1] + b.half[1]}; }
  friend Lanes operator-(const Lanes& a, const Lanes& b) { return {a.half[0] - b.half[0], a.half[1] - b.half[1]}; }
  friend Lanes operator*(const Lanes& a, const Lanes& b) { return {a.half[0] * b.half[0], a.half[1] * b.half[1]}; }
  friend Lanes operator/(const Lanes& a, const Lanes& b) { return {a.half[0] / b.half[0], a.half[1] / b.half[1]}; }
  friend Mask operator<(const Lanes& a, const Lanes& b) { return {{a.half[0] < b.half[0], a.half[1] < b.half[1]}}; }
  friend Mask operator==(const Lanes& a, const Lanes& b) { return {{a.half[0] == b.half[0], a.half[1] == b.half[1]}}; }
  Lanes& operator+=(const Lanes& b) { return *this = *this + b; }

  friend Lanes select(const Mask& m, const Lanes& yes, const Lanes& no) {
    return {m.half[0] ? yes.half[0] : no.half[0], m.half[1] ? yes.half[1] : no.half[1]};
  }
  // The second where the first is NaN.
  friend Lanes least(const Lanes& a, const Lanes& b) { return select(a < b, a, b); }
  friend Lanes greatest(const Lanes& a, const Lanes& b) { return select(b < a, a, b); }
  friend Lanes inverse_of(const Lanes& scale) { return select(Lanes(0) < scale, Lanes(1) / scale, Lanes(0)); }

  // The nearest value that an f16 holds, half to even. What is beyond the range becomes the end of the range; NaN
  // becomes f32_from_f16's NaN of the same sign.
  friend Lanes f16_in_range(const Lanes& v) {
    const Lanes above = select(v < Lanes(-kF16Max), Lanes(-kF16Max), v);
    const Lanes in = select(Lanes(kF16Max) < above, Lanes(kF16Max), above);
    return {nearest_f16(in.half[0]), nearest_f16(in.half[1])};
  }

 private:
  static Floats nearest_f16(const Floats& value) {
    const Ints bits = (Ints)value;
    const Ints size = bits & 0x7fffffff, sign = bits ^ size;
    // Below 2^-14, adding 0.5 puts the last kept bit at the float's last place.
    const Floats subnormal = ((Floats)size + 0.5f) - 0.5f;
    const Ints normal = (size + 0xfff + ((size >> 13) & 1)) & ~0x1fff;
    const Ints finite = size < 0x38800000 ? (Ints)subnormal : normal;
    return (Floats)(sign | (size > 0x7f800000 ? Ints{} + 0x7fc00000 : finite));
  }
};

// tile: [size][L::kRows]; a lane without a row holds zeros.
template <class L>
void load_tile(const GroupRows& in, float* tile) {
  for (int64_t i = 0; i < in.size; ++i) {
    for (int64_t row = 0; row < L::kRows; ++row) {
      tile[i * L::kRows + row] = row < in.rows ? in.values[row * in.stride + i] : 0;
    }
  }
}

}  // namespace
}  // namespace halftone
