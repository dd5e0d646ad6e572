// exp of ordered numbers and what is made of it (silu, tanh, GELU): fixed lists of float32 operations, so that every
// body of every device gives the same bits. Any thread. exp is at most 1 ulp from e^x over all floats, tanh at most 3
// from its value (docs/NUMERICS.md).
//
// exp_ordered<Ops>(x) and the others: Ops names a vector type F and these static functions, lane by lane:
//   F broadcast(float)
//   F mul(a, b), sub(a, b), add(a, b), div(a, b)   each rounded once, to nearest even
//   F fma(a, b, c)                                 a * b + c, rounded once
//   F shift_exponent(p, s)      bits of p + (bits of s << 23), as 32-bit integers that wrap
//   F select_less_equal(a, b, yes, no)             a <= b ? yes : no; false where either is NaN
// A file with its own instruction set passes its own Ops and never ExpOps, whose code may be the copy that the linker
// keeps.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

namespace halftone {

struct ExpConstants {
  static constexpr float kLowest = -0x1.5d589ep+6f;  // -87.33654: below it e^x is not a normal float, and becomes +0
  static constexpr float kHighest = 0x1.62e42ep+6f;  // 88.722832: above it e^x is beyond the range: +infinity
  static constexpr float kLog2E = 0x1.715476p+0f;
  static constexpr float kRound = 0x1.8p+23f;  // added, it leaves the nearest integer in the low mantissa bits
  static constexpr float kMinusLn2High = -0x1.62e43p-1f;  // 20 bits: n * it is exact
  static constexpr float kMinusLn2Low = 0x1.05c61p-29f;
  // e^r = 1 + r + r^2 (c2 + c3 r + ... + c6 r^4) on |r| <= ln(2) / 2: relative error 3.2e-9 before rounding.
  static constexpr float kC2 = 0x1.fffffcp-2f;
  static constexpr float kC3 = 0x1.55548cp-3f;
  static constexpr float kC4 = 0x1.555858p-5f;
  static constexpr float kC5 = 0x1.123dep-7f;
  static constexpr float kC6 = 0x1.6ac74ep-10f;
};

template <typename Ops>
constexpr typename Ops::F exp_ordered(typename Ops::F x) {
  using C = ExpConstants;
  using F = typename Ops::F;
  const F one = Ops::broadcast(1.0f);
  const F round = Ops::broadcast(C::kRound);
  const F shifted = Ops::fma(x, Ops::broadcast(C::kLog2E), round);  // n = nearest(x / ln 2), ties to even
  const F n = Ops::sub(shifted, round);
  F r = Ops::fma(n, Ops::broadcast(C::kMinusLn2High), x);
  r = Ops::fma(n, Ops::broadcast(C::kMinusLn2Low), r);
  F p = Ops::broadcast(C::kC6);
  p = Ops::fma(p, r, Ops::broadcast(C::kC5));
  p = Ops::fma(p, r, Ops::broadcast(C::kC4));
  p = Ops::fma(p, r, Ops::broadcast(C::kC3));
  p = Ops::fma(p, r, Ops::broadcast(C::kC2));
  p = Ops::fma(p, r, one);
  p = Ops::fma(p, r, one);
  F y = Ops::shift_exponent(p, shifted);  // p * 2^n: the low bits of `shifted` are n
  y = Ops::select_less_equal(Ops::broadcast(C::kLowest), x, y, Ops::broadcast(0.0f));
  // Above the range x * infinity is infinity, and a NaN, which no comparison lets through, stays one.
  return Ops::select_less_equal(x, Ops::broadcast(C::kHighest), y, Ops::mul(x, Ops::broadcast(HUGE_VALF)));
}

// x / (1 + e^-x).
template <typename Ops>
constexpr typename Ops::F silu_ordered(typename Ops::F x) {
  const typename Ops::F minus_x = Ops::sub(Ops::broadcast(0.0f), x);
  return Ops::div(x, Ops::add(Ops::broadcast(1.0f), exp_ordered<Ops>(minus_x)));
}

struct TanhConstants {
  static constexpr float kSmall = 0.625f;
  // tanh x = x + x^3 (c0 + c1 x^2 + ... + c5 x^10) on |x| <= kSmall, interpolated at Chebyshev's points of x^2:
  // relative error 4.2e-9 before rounding.
  static constexpr float kC0 = -0x1.555556p-2f;
  static constexpr float kC1 = 0x1.1110eap-3f;
  static constexpr float kC2 = -0x1.ba08c4p-5f;
  static constexpr float kC3 = 0x1.64a976p-6f;
  static constexpr float kC4 = -0x1.116a16p-7f;
  static constexpr float kC5 = 0x1.2c83cp-9f;
};

// The polynomial up to kSmall, beyond it 1 - 2 / (e^(2 |x|) + 1) with the sign of x. NaN stays NaN.
template <typename Ops>
constexpr typename Ops::F tanh_ordered(typename Ops::F x) {
  using C = TanhConstants;
  using F = typename Ops::F;
  const F zero = Ops::broadcast(0.0f), one = Ops::broadcast(1.0f), two = Ops::broadcast(2.0f);
  const F square = Ops::mul(x, x);
  F p = Ops::broadcast(C::kC5);
  p = Ops::fma(p, square, Ops::broadcast(C::kC4));
  p = Ops::fma(p, square, Ops::broadcast(C::kC3));
  p = Ops::fma(p, square, Ops::broadcast(C::kC2));
  p = Ops::fma(p, square, Ops::broadcast(C::kC1));
  p = Ops::fma(p, square, Ops::broadcast(C::kC0));
  const F small = Ops::fma(x, Ops::mul(square, p), x);
  const F minus_x = Ops::sub(zero, x);
  const F magnitude = Ops::select_less_equal(zero, x, x, minus_x);
  const F rest = Ops::div(two, Ops::add(exp_ordered<Ops>(Ops::mul(magnitude, two)), one));
  const F large = Ops::sub(one, rest);
  const F with_sign = Ops::select_less_equal(zero, x, large, Ops::sub(zero, large));
  return Ops::select_less_equal(magnitude, Ops::broadcast(C::kSmall), small, with_sign);
}

// limit * tanh(x / limit): x where it is small beside the limit, never beyond it. limit > 0.
template <typename Ops>
constexpr typename Ops::F cap_ordered(typename Ops::F x, typename Ops::F limit) {
  return Ops::mul(limit, tanh_ordered<Ops>(Ops::div(x, limit)));
}

// GELU by tanh (Hendrycks and Gimpel, arXiv:1606.08415), x / 2 * (1 + tanh(u)) with u = sqrt(2 / pi) (x + 0.044715
// x^3), computed as x / (1 + e^(-2 u)), which is the same and cancels nothing.
template <typename Ops>
constexpr typename Ops::F gelu_tanh_ordered(typename Ops::F x) {
  using F = typename Ops::F;
  const F linear = Ops::broadcast(-0x1.988454p+0f);  // -2 sqrt(2 / pi)
  const F cubic = Ops::broadcast(-0x1.2444f2p-4f);   // 0.044715 times it
  const F minus_two_u = Ops::mul(x, Ops::fma(Ops::mul(x, x), cubic, linear));
  return Ops::div(x, Ops::add(Ops::broadcast(1.0f), exp_ordered<Ops>(minus_two_u)));
}

// One lane. constexpr is for nvcc, which then compiles it for a GPU, too; as members of a template they need not be
// constant to a compiler whose std::fma is not.
template <typename Float>
struct OneLane {
  using F = Float;
  static constexpr F broadcast(F value) { return value; }
  static constexpr F add(F a, F b) { return a + b; }
  static constexpr F sub(F a, F b) { return a - b; }
  static constexpr F mul(F a, F b) { return a * b; }
  static constexpr F div(F a, F b) { return a / b; }
  static constexpr F fma(F a, F b, F c) { return std::fma(a, b, c); }
  static constexpr F shift_exponent(F p, F s) {
    return std::bit_cast<F>(std::bit_cast<uint32_t>(p) + (std::bit_cast<uint32_t>(s) << 23));
  }
  static constexpr F select_less_equal(F a, F b, F yes, F no) { return a <= b ? yes : no; }
};
using ExpOps = OneLane<float>;

inline float exp_ordered(float x) { return exp_ordered<ExpOps>(x); }
inline float silu_ordered(float x) { return silu_ordered<ExpOps>(x); }
inline float tanh_ordered(float x) { return tanh_ordered<ExpOps>(x); }
inline float cap_ordered(float x, float limit) { return cap_ordered<ExpOps>(x, limit); }
inline float gelu_tanh_ordered(float x) { return gelu_tanh_ordered<ExpOps>(x); }

}  // namespace halftone
