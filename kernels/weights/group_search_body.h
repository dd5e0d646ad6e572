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
  using Bytes = uint8_t __attribute__((vector_size(4)));  // as many
};
template <>
struct Vectors<32> {
  using Floats = float __attribute__((vector_size(32)));
  using Ints = int32_t __attribute__((vector_size(32)));
  using Bytes = uint8_t __attribute__((vector_size(8)));  // as many
};
template <>
struct Vectors<64> {
  using Floats = float __attribute__((vector_size(64)));
  using Ints = int32_t __attribute__((vector_size(64)));
  using Bytes = uint8_t __attribute__((vector_size(16)));  // as many
};

// Two of the compiler's own vectors of so many bytes: a float for each row.
template <int kBytes>
struct Lanes {
  static constexpr int kOne = kBytes / 4, kRows = 2 * kOne;
  using Floats = typename Vectors<kBytes>::Floats;
  using Ints = typename Vectors<kBytes>::Ints;
  using Bytes = typename Vectors<kBytes>::Bytes;
  struct __attribute__((packed, may_alias)) Unaligned {
    Floats vector;
  };
  struct Mask {
    Ints half[2];
  };
  Floats half[2];

  Lanes() : Lanes(0) {}
  // NOLINTNEXTLINE(google-explicit-constructor): a number stands for a vector of it.
  Lanes(float v) : half{Floats{} + v, Floats{} + v} {}
  Lanes(const Floats& first, const Floats& second) : half{first, second} {}

  // A vector at a time: g++ 12 copies both at once by pieces of 16 bytes, and reading those as one vector stalls.
  static Lanes load(const float* from) {
    const auto* vectors = reinterpret_cast<const Unaligned*>(from);
    const Floats first = vectors[0].vector, second = vectors[1].vector;
    return {first, second};
  }
  void store(float* to) const {
    auto* vectors = reinterpret_cast<Unaligned*>(to);
    vectors[0].vector = half[0];
    vectors[1].vector = half[1];
  }
  // Whole numbers from 0 to 255.
  void store_bytes(uint8_t* to) const {
    for (int i = 0; i < 2; ++i) {
      const Bytes bytes = __builtin_convertvector(__builtin_convertvector(half[i], Ints), Bytes);
      __builtin_memcpy(to + i * kOne, &bytes, sizeof bytes);
    }
  }

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
  // The second where the first is NaN. Written out, not by select: so g++ 12 sees that each is one instruction.
  friend Lanes least(const Lanes& a, const Lanes& b) {
    return {a.half[0] < b.half[0] ? a.half[0] : b.half[0], a.half[1] < b.half[1] ? a.half[1] : b.half[1]};
  }
  friend Lanes greatest(const Lanes& a, const Lanes& b) {
    return {b.half[0] < a.half[0] ? a.half[0] : b.half[0], b.half[1] < a.half[1] ? a.half[1] : b.half[1]};
  }
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

// One step over the values of a group: NaN once a value was not finite. The first such value decides the NaN's sign; a
// sum of two NaNs would take the sign of either operand, and compilers may swap them.
template <class L>
L poisoned(const L& poison, const L& value) {
  return select(poison == poison, value * 0, poison);
}

// tile: [size][L::kRows]; inputs `first` to `end` of all lanes; a lane without a row holds zeros.
template <class L>
void load_inputs(const GroupRows& in, int64_t first, int64_t end, float* tile) {
  for (int64_t i = first; i < end; ++i) {
    for (int64_t row = 0; row < L::kRows; ++row) {
      tile[i * L::kRows + row] = row < in.rows ? in.values[row * in.stride + i] : 0;
    }
  }
}

// Four inputs of four rows: from[r * from_stride + i] goes to to[i * to_stride + r].
inline void transpose_four(const float* from, int64_t from_stride, float* to, int64_t to_stride) {
  using Four = Vectors<16>::Floats;
  Four row[4];
  for (int r = 0; r < 4; ++r) __builtin_memcpy(&row[r], from + r * from_stride, sizeof row[r]);
  const Four low02 = __builtin_shufflevector(row[0], row[2], 0, 4, 1, 5);
  const Four low13 = __builtin_shufflevector(row[1], row[3], 0, 4, 1, 5);
  const Four high02 = __builtin_shufflevector(row[0], row[2], 2, 6, 3, 7);
  const Four high13 = __builtin_shufflevector(row[1], row[3], 2, 6, 3, 7);
  const Four column[4] = {
      __builtin_shufflevector(low02, low13, 0, 4, 1, 5), __builtin_shufflevector(low02, low13, 2, 6, 3, 7),
      __builtin_shufflevector(high02, high13, 0, 4, 1, 5), __builtin_shufflevector(high02, high13, 2, 6, 3, 7)};
  for (int i = 0; i < 4; ++i) __builtin_memcpy(to + i * to_stride, &column[i], sizeof column[i]);
}

// Sixteen inputs of a row at once: they are one cache line, and lines of many rows may not stay in the cache together.
template <class L>
void load_tile(const GroupRows& in, float* tile) {
  constexpr int64_t kLine = 16;
  int64_t first = 0;
  for (; in.rows == L::kRows && first + kLine <= in.size; first += kLine) {
    for (int64_t row = 0; row < L::kRows; row += 4) {
      for (int64_t i = first; i < first + kLine; i += 4) {
        transpose_four(in.values + row * in.stride + i, in.stride, tile + i * L::kRows + row, L::kRows);
      }
    }
  }
  load_inputs<L>(in, first, in.size, tile);
}

// round: the codes of a vector of values, whole numbers from 0 to 255.
template <class L, typename Round>
void round_values(const float* values, int64_t count, uint8_t* codes, Round round) {
  int64_t i = 0;
  for (; i + L::kRows <= count; i += L::kRows) round(L::load(values + i)).store_bytes(codes + i);
  if (i == count) return;
  float last[L::kRows] = {};
  uint8_t bytes[L::kRows];
  std::copy(values + i, values + count, last);
  round(L::load(last)).store_bytes(bytes);
  std::copy(bytes, bytes + (count - i), codes + i);
}

}  // namespace
}  // namespace halftone
