// Sixteen float lanes as two AVX2 registers. Included only by *_avx2.cc files; the same names as simd/emulated.h.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace halftone {
namespace {

struct Avx2 {
  static constexpr int kLanes = 16;
  static constexpr int kLaneRegisters = 2;  // that hold an F
  static constexpr bool kTiles = true;  // several tokens at once keep the registers busy
  template <int kTokens>
  static constexpr int kA8Blocks = kTokens <= 2 ? 2 : 1;  // of outputs at once, in an integer product
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
  static I zero_int() { return {_mm256_setzero_si256(), _mm256_setzero_si256()}; }
  static I broadcast_int(int32_t v) { return {_mm256_set1_epi32(v), _mm256_set1_epi32(v)}; }
  static I add_int(I a, I b) { return {_mm256_add_epi32(a.lo, b.lo), _mm256_add_epi32(a.hi, b.hi)}; }
  static I sub_int(I a, I b) { return {_mm256_sub_epi32(a.lo, b.lo), _mm256_sub_epi32(a.hi, b.hi)}; }
  static I mul_int(I a, I b) { return {_mm256_mullo_epi32(a.lo, b.lo), _mm256_mullo_epi32(a.hi, b.hi)}; }
  // To the nearest integer, halves to even; the caller keeps them within 32 bits.
  static I round_int(F a) { return {_mm256_cvtps_epi32(a.lo), _mm256_cvtps_epi32(a.hi)}; }
  static int32_t reduce_add_int(I a) {
    __m256i eight = _mm256_add_epi32(a.lo, a.hi);
    __m128i four = _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
    __m128i two = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 0xb1)));
  }
  // Sixteen lanes within -128..127 as bytes.
  static void store_s8(int8_t* p, I a) {
    __m256i pairs = _mm256_permute4x64_epi64(_mm256_packs_epi32(a.lo, a.hi), 0xd8);
    __m128i bytes = _mm_packs_epi16(_mm256_castsi256_si128(pairs), _mm256_extracti128_si256(pairs, 1));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), bytes);
  }

  // Integer products of each lane's four bytes with x[0, 4). For u4 codes (0..15) in 16-bit halves that hold
  // kU4Inputs products, then widened by total_u4(); for s8 in 32 bits.
  static constexpr int kU4Inputs = 32;
  static I add_u4(I sum, I codes, const int8_t* x) {
    __m256i four = broadcast_bytes(x);
    accumulate_16(&sum.lo, _mm256_maddubs_epi16(codes.lo, four));
    accumulate_16(&sum.hi, _mm256_maddubs_epi16(codes.hi, four));
    return sum;
  }
  static I total_u4(I sum) {
    const __m256i ones = _mm256_set1_epi16(1);
    return {_mm256_madd_epi16(sum.lo, ones), _mm256_madd_epi16(sum.hi, ones)};
  }
  static constexpr int32_t kS8Bias = 0;  // what add_s8 adds to every code
  // |code| <= 128 times |x| <= 127, twice: at most 32512, so nothing saturates.
  static I add_s8(I sum, I codes, const int8_t* x) {
    const __m256i ones = _mm256_set1_epi16(1), four = broadcast_bytes(x);
    auto pairs = [&](__m256i w) { return _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(four, w)); };
    accumulate_32(&sum.lo, _mm256_madd_epi16(pairs(codes.lo), ones));
    accumulate_32(&sum.hi, _mm256_madd_epi16(pairs(codes.hi), ones));
    return sum;
  }
  // As instructions of their own: g++ 12 would add the products to each other first and run out of registers.
  [[gnu::always_inline]] static inline void accumulate_16(__m256i* sum, __m256i product) {
    asm("vpaddw %1, %0, %0" : "+x"(*sum) : "x"(product));
  }
  [[gnu::always_inline]] static inline void accumulate_32(__m256i* sum, __m256i product) {
    asm("vpaddd %1, %0, %0" : "+x"(*sum) : "x"(product));
  }
  static __m256i broadcast_bytes(const int8_t* x) {
    int32_t four;
    std::memcpy(&four, x, sizeof four);
    return _mm256_set1_epi32(four);
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
