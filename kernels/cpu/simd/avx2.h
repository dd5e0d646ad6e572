// Sixteen float lanes as two AVX2 registers. Included only by *_avx2.cc files; the same names as simd/emulated.h.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace halftone {
namespace {

struct Avx2 {
  static constexpr int kLanes = 16;
  static constexpr bool kTiles = true;  // several tokens at once keep the registers busy
  struct F {
    __m256 lo, hi;
  };
  struct I {
    __m256i lo, hi;
  };  // sixteen int32
  struct Mask {
    __m256 lo, hi;
  };  // all ones or all zeros in each lane

  static F zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
  static F broadcast(float v) { return {_mm256_set1_ps(v), _mm256_set1_ps(v)}; }
  static F load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
  static void store(float* p, F v) {
    _mm256_storeu_ps(p, v.lo);
    _mm256_storeu_ps(p + 8, v.hi);
  }
  static F load_f16(const uint16_t* p) {
    return {_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))),
            _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 8)))};
  }
  static F load_bf16(const uint16_t* p) {
    auto widen = [](const uint16_t* q) {
      __m128i half = _mm_loadu_si128(reinterpret_cast<const __m128i*>(q));
      return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
    };
    return {widen(p), widen(p + 8)};
  }

  static F fma(F a, F b, F c) { return {_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)}; }
  static F add(F a, F b) { return {_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)}; }
  static F sub(F a, F b) { return {_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)}; }
  static F mul(F a, F b) { return {_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)}; }
  static F div(F a, F b) { return {_mm256_div_ps(a.lo, b.lo), _mm256_div_ps(a.hi, b.hi)}; }
  // a > b ? a : b, so a NaN in a lane gives b.
  static F max(F a, F b) { return {_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi)}; }

  static Mask less(F a, F b) { return {_mm256_cmp_ps(a.lo, b.lo, _CMP_LT_OQ), _mm256_cmp_ps(a.hi, b.hi, _CMP_LT_OQ)}; }
  static F select(Mask m, F yes, F no) {
    return {_mm256_blendv_ps(no.lo, yes.lo, m.lo), _mm256_blendv_ps(no.hi, yes.hi, m.hi)};
  }
  static F select_less_equal(F a, F b, F yes, F no) {
    return select({_mm256_cmp_ps(a.lo, b.lo, _CMP_LE_OQ), _mm256_cmp_ps(a.hi, b.hi, _CMP_LE_OQ)}, yes, no);
  }
  // The bits of p plus the bits of s << 23, as integers that wrap.
  static F shift_exponent(F p, F s) {
    auto one = [](__m256 a, __m256 b) {
      return _mm256_castsi256_ps(
          _mm256_add_epi32(_mm256_castps_si256(a), _mm256_slli_epi32(_mm256_castps_si256(b), 23)));
    };
    return {one(p.lo, s.lo), one(p.hi, s.hi)};
  }
  // Bit i: lane i.
  static uint32_t bits(Mask m) {
    return static_cast<uint32_t>(_mm256_movemask_ps(m.lo)) | static_cast<uint32_t>(_mm256_movemask_ps(m.hi)) << 8;
  }

  static I load_i32(const void* p) {
    const __m256i* q = static_cast<const __m256i*>(p);
    return {_mm256_loadu_si256(q), _mm256_loadu_si256(q + 1)};
  }
  static F to_float(I a) { return {_mm256_cvtepi32_ps(a.lo), _mm256_cvtepi32_ps(a.hi)}; }
  template <int kBits>
  static I shift_left(I a) {
    return {_mm256_slli_epi32(a.lo, kBits), _mm256_slli_epi32(a.hi, kBits)};
  }
  template <int kBits>
  static I shift_right(I a) {
    return {_mm256_srli_epi32(a.lo, kBits), _mm256_srli_epi32(a.hi, kBits)};
  }
  template <int kBits>
  static I shift_right_signed(I a) {
    return {_mm256_srai_epi32(a.lo, kBits), _mm256_srai_epi32(a.hi, kBits)};
  }
  static I and_int(I a, int32_t b) {
    return {_mm256_and_si256(a.lo, _mm256_set1_epi32(b)), _mm256_and_si256(a.hi, _mm256_set1_epi32(b))};
  }

  // The tree of docs/NUMERICS.md: lanes i and i + 8, then i and i + 4, i + 2, i + 1.
  static float reduce_add(F a) {
    __m256 eight = _mm256_add_ps(a.lo, a.hi);
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
  }
  static void prefetch(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0); }
};

}  // namespace
}  // namespace halftone
