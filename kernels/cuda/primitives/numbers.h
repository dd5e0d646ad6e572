// Numbers of 16 bits and float32, and multiply-adds by name. sm_80. The same bits here and there, but for NaNs: a NaN
// stays one, with other bits.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

#include "kernels/contract/numbers.h"
#include "kernels/cuda/dialect.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {

#ifdef __CUDACC__

HALFTONE_DEVICE float f32_from_bf16(uint16_t bits) { return __uint_as_float(static_cast<uint32_t>(bits) << 16); }

// Rounds to nearest even, as all of these do.
HALFTONE_DEVICE uint16_t bf16_from_f32(float value) {
  uint16_t bits;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(value));
  return bits;
}

HALFTONE_DEVICE float f32_from_f16(uint16_t bits) {
  float value;
  asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
  return value;
}

// What is beyond the range becomes infinity.
HALFTONE_DEVICE uint16_t f16_from_f32(float value) {
  uint16_t bits;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value));
  return bits;
}

HALFTONE_DEVICE uint32_t bf16x2_from_f32(float low, float high) {
  uint32_t bits;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(bits) : "f"(high), "f"(low));
  return bits;
}

HALFTONE_DEVICE uint32_t f16x2_from_f32(float low, float high) {
  uint32_t bits;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(bits) : "f"(high), "f"(low));
  return bits;
}

HALFTONE_DEVICE float fma(float a, float b, float c) { return __fmaf_rn(a, b, c); }
HALFTONE_DEVICE float square_root(float value) { return __fsqrt_rn(value); }

// a * b + c in each half, rounded once.
HALFTONE_DEVICE uint32_t bf16x2_fma(uint32_t a, uint32_t b, uint32_t c) {
  uint32_t result;
  asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(result) : "r"(a), "r"(b), "r"(c));
  return result;
}

// a & mask | bits. One instruction takes one constant: the other one has to be in a register, which a compiler would
// not know to keep.
HALFTONE_DEVICE uint32_t and_or(uint32_t a, uint32_t mask, uint32_t bits) {
  uint32_t result;
  asm("lop3.b32 %0, %1, %2, %3, 0xea;" : "=r"(result) : "r"(a), "r"(mask), "r"(bits));
  return result;
}

HALFTONE_DEVICE float f32_from_bits(uint32_t bits) { return __uint_as_float(bits); }
HALFTONE_DEVICE uint32_t bits_from_f32(float value) { return __float_as_uint(value); }

#else

using halftone::bf16_from_f32;
using halftone::f16_from_f32;
using halftone::f32_from_bf16;
using halftone::f32_from_f16;

HALFTONE_DEVICE uint32_t bf16x2_from_f32(float low, float high) {
  return bf16_from_f32(low) | static_cast<uint32_t>(bf16_from_f32(high)) << 16;
}

HALFTONE_DEVICE uint32_t f16x2_from_f32(float low, float high) {
  return f16_from_f32(low) | static_cast<uint32_t>(f16_from_f32(high)) << 16;
}

HALFTONE_DEVICE float fma(float a, float b, float c) { return std::fma(a, b, c); }
HALFTONE_DEVICE float square_root(float value) { return std::sqrt(value); }

HALFTONE_DEVICE uint32_t and_or(uint32_t a, uint32_t mask, uint32_t bits) { return (a & mask) | bits; }

HALFTONE_DEVICE float f32_from_bits(uint32_t bits) { return std::bit_cast<float>(bits); }
HALFTONE_DEVICE uint32_t bits_from_f32(float value) { return std::bit_cast<uint32_t>(value); }

// a * b + c, rounded once: the product is exact in float64; of the sum a float32 keeps, in its last bit, whether it is
// exact (rounding to odd), so that the rounding to bf16 sees on which side of a tie it lies.
HALFTONE_DEVICE uint16_t bf16_fma(uint16_t a, uint16_t b, uint16_t c) {
  const double product = static_cast<double>(f32_from_bf16(a)) * f32_from_bf16(b), addend = f32_from_bf16(c);
  const double sum = product + addend;
  float rounded = static_cast<float>(sum);
  if (!std::isfinite(sum)) return bf16_from_f32(rounded);
  const double back = sum - product, lost = (product - (sum - back)) + (addend - back);
  const double rest = (sum - rounded) + lost;
  if (rest != 0 && (bits_from_f32(rounded) & 1u) == 0) {
    rounded = std::nextafter(rounded, rest > 0 ? INFINITY : -INFINITY);
  }
  return bf16_from_f32(rounded);
}

HALFTONE_DEVICE uint32_t bf16x2_fma(uint32_t a, uint32_t b, uint32_t c) {
  auto half = [](uint32_t bits, int i) { return static_cast<uint16_t>(bits >> (16 * i)); };
  return bf16_fma(half(a, 0), half(b, 0), half(c, 0)) |
         static_cast<uint32_t>(bf16_fma(half(a, 1), half(b, 1), half(c, 1))) << 16;
}

#endif

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
