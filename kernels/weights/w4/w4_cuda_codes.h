// w4's codes for tensor cores.
#pragma once

#include "kernels/cuda/sm80_gemm_tile.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {

struct W4MmaCodes {
  static constexpr int kBits = 4;
  static constexpr bool kScaled = true, kHasMinimum = true;
  static constexpr uint32_t kFlip = 0;

  HALFTONE_DEVICE static float minimum(Offset kind, float scale, float offset) {
    if (kind == Offset::kSymmetric) return scale * -8.0f;
    return kind == Offset::kMinimum ? offset : scale * -offset;
  }
  // Two codes, one in each half of the word, as bf16 numbers: 128 + code has the code as its last mantissa bits.
  HALFTONE_DEVICE static uint32_t pair(uint32_t word) {
    constexpr uint32_t k128 = 0x43004300u, kOne = 0x3f803f80u, kMinus128 = 0xc300c300u;
    return bf16x2_fma(and_or(word, 0x000f000fu, k128), kOne, kMinus128);
  }
  HALFTONE_DEVICE static void fragment(const uint32_t* words, int step, uint32_t (&a)[4]) {
    const uint32_t word = words[step];
    a[0] = pair(word), a[1] = pair(word >> 4), a[2] = pair(word >> 8), a[3] = pair(word >> 12);
  }
  HALFTONE_DEVICE static float value(uint32_t code) { return static_cast<float>(code); }
};

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
