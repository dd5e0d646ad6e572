// The contract's exp on a device: the same operations in the same order.
#pragma once

#include "kernels/contract/exp.h"
#include "kernels/cuda/primitives/numbers.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {

HALFTONE_DEVICE float exp_f32(float x) {
  using C = ExpConstants;
  const float shifted = fma(x, C::kLog2E, C::kRound);
  const float n = shifted - C::kRound;
  float r = fma(n, C::kMinusLn2High, x);
  r = fma(n, C::kMinusLn2Low, r);
  float p = C::kC6;
  p = fma(p, r, C::kC5);
  p = fma(p, r, C::kC4);
  p = fma(p, r, C::kC3);
  p = fma(p, r, C::kC2);
  p = fma(p, r, 1.0f);
  p = fma(p, r, 1.0f);
  const float y = f32_from_bits(bits_from_f32(p) + (bits_from_f32(shifted) << 23));
  if (!(C::kLowest <= x)) return x == x ? 0.0f : x;
  return x <= C::kHighest ? y : x * HUGE_VALF;
}

HALFTONE_DEVICE float silu(float x) { return x / (1.0f + exp_f32(0.0f - x)); }

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
