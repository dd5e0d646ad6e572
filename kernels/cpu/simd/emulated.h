// Sixteen float lanes in plain C++: runs everywhere, and gives the same bits as simd/avx2.h.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "kernels/contract/numbers.h"

namespace halftone {
namespace {

struct Emulated {
  static constexpr int kLanes = 16;
  static constexpr int kLaneRegisters = 2;  // as in avx2.h; the compiler chooses what they are
  static constexpr bool kTiles = false;  // one token after the other: unrolled tiles would only take long to compile
  template <int kTokens>
  static constexpr int kA8Blocks = 1;
  struct F {
    float v[kLanes];
  };
  struct I {
    int32_t v[kLanes];
  };
  struct Mask {
    bool v[kLanes];
  };

  template <typename Op>
  static F each(Op op) {
    F r;
    for (int i = 0; i < kLanes; ++i) r.v[i] = op(i);
    return r;
  }
  template <typename Op>
  static I each_int(Op op) {
    I r;
    for (int i = 0; i < kLanes; ++i) r.v[i] = op(i);
    return r;
  }

  static F zero() { return broadcast(0); }
  static F broadcast(float v) {
    return each([&](int) { return v; });
  }
  static F load(const float* p) {
    return each([&](int i) { return p[i]; });
  }
  static void store(float* p, F a) { std::memcpy(p, a.v, sizeof a.v); }
  static F load_f16(const uint16_t* p) {
    return each([&](int i) { return f32_from_f16(p[i]); });
  }
  static F load_bf16(const uint16_t* p) {
    return each([&](int i) { return f32_from_bf16(p[i]); });
  }

  static F fma(F a, F b, F c) {
    return each([&](int i) { return std::fma(a.v[i], b.v[i], c.v[i]); });
  }
  static F add(F a, F b) {
    return each([&](int i) { return a.v[i] + b.v[i]; });
  }
  static F sub(F a, F b) {
    return each([&](int i) { return a.v[i] - b.v[i]; });
  }
  static F mul(F a, F b) {
    return each([&](int i) { return a.v[i] * b.v[i]; });
  }
  static F div(F a, F b) {
    return each([&](int i) { return a.v[i] / b.v[i]; });
  }
  static F max(F a, F b) {
    return each([&](int i) { return a.v[i] > b.v[i] ? a.v[i] : b.v[i]; });
  }

  static Mask less(F a, F b) {
    Mask m;
    for (int i = 0; i < kLanes; ++i) m.v[i] = a.v[i] < b.v[i];
    return m;
  }
  static F select(Mask m, F yes, F no) {
    return each([&](int i) { return m.v[i] ? yes.v[i] : no.v[i]; });
  }
  static F select_less_equal(F a, F b, F yes, F no) {
    return each([&](int i) { return a.v[i] <= b.v[i] ? yes.v[i] : no.v[i]; });
  }
  static F shift_exponent(F p, F s) {
    return each([&](int i) {
      return std::bit_cast<float>(std::bit_cast<uint32_t>(p.v[i]) + (std::bit_cast<uint32_t>(s.v[i]) << 23));
    });
  }
  static uint32_t bits(Mask m) {
    uint32_t r = 0;
    for (int i = 0; i < kLanes; ++i) r |= static_cast<uint32_t>(m.v[i]) << i;
    return r;
  }

  static I load_i32(const void* p) {
    I r;
    std::memcpy(r.v, p, sizeof r.v);
    return r;
  }
  static F to_float(I a) {
    return each([&](int i) { return static_cast<float>(a.v[i]); });
  }
  template <int kBits>
  static I shift_left(I a) {
    return each_int([&](int i) { return static_cast<int32_t>(static_cast<uint32_t>(a.v[i]) << kBits); });
  }
  template <int kBits>
  static I shift_right(I a) {
    return each_int([&](int i) { return static_cast<int32_t>(static_cast<uint32_t>(a.v[i]) >> kBits); });
  }
  template <int kBits>
  static I shift_right_signed(I a) {
    return each_int([&](int i) { return a.v[i] >> kBits; });
  }
  static I and_int(I a, int32_t b) {
    return each_int([&](int i) { return a.v[i] & b; });
  }

  static I zero_int() { return broadcast_int(0); }
  static I broadcast_int(int32_t v) {
    return each_int([&](int) { return v; });
  }
  static I add_int(I a, I b) {
    return each_int([&](int i) { return a.v[i] + b.v[i]; });
  }
  static I sub_int(I a, I b) {
    return each_int([&](int i) { return a.v[i] - b.v[i]; });
  }
  static I mul_int(I a, I b) {
    return each_int([&](int i) { return a.v[i] * b.v[i]; });
  }
  static I round_int(F a) {
    return each_int([&](int i) { return static_cast<int32_t>(std::nearbyint(a.v[i])); });
  }
  static int32_t reduce_add_int(I a) {
    int32_t sum = 0;
    for (int32_t lane : a.v) sum += lane;
    return sum;
  }
  static void store_s8(int8_t* p, I a) {
    for (int i = 0; i < kLanes; ++i) p[i] = static_cast<int8_t>(a.v[i]);
  }

  static constexpr int kU4Inputs = 64;
  static I add_u4(I sum, I codes, const int8_t* x) {
    return each_int([&](int i) {
      uint32_t word = static_cast<uint32_t>(codes.v[i]);
      int32_t dot = sum.v[i];
      for (int j = 0; j < 4; ++j) dot += static_cast<int32_t>(word >> (8 * j) & 255u) * x[j];
      return dot;
    });
  }
  static I total_u4(I sum) { return sum; }
  static constexpr int32_t kS8Bias = 0;
  static I add_s8(I sum, I codes, const int8_t* x) {
    return each_int([&](int i) {
      uint32_t word = static_cast<uint32_t>(codes.v[i]);
      int32_t dot = sum.v[i];
      for (int j = 0; j < 4; ++j) dot += static_cast<int8_t>(word >> (8 * j) & 255u) * x[j];
      return dot;
    });
  }

  static float reduce_add(F a) {
    for (int width = 8; width >= 1; width /= 2) {
      for (int i = 0; i < width; ++i) a.v[i] += a.v[i + width];
    }
    return a.v[0];
  }
  static void prefetch(const void*) {}
};

}  // namespace
}  // namespace halftone
