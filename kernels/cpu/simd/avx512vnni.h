// Sixteen float lanes as one AVX-512 register, integer products by VNNI. Included only by *_avx512vnni.cc files; the
// same names as simd/avx2.h.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace halftone {
namespace {

struct Avx512Vnni {
  static constexpr int kLanes = 16;
  static constexpr int kLaneRegisters = 1;  // that hold an F
  static constexpr bool kTiles = true;
  template <int kTokens>
  static constexpr int kA8Blocks = kTokens <= 2 ? 2 : 4;  // 16 sums keep one vpdpbusd a clock busy
  using F = __m512;
  using I = __m512i;
  using Mask = __mmask16;

  static F zero() { return _mm512_setzero_ps(); }
  static F broadcast(float v) { return _mm512_set1_ps(v); }
  static F load(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, F v) { _mm512_storeu_ps(p, v); }
  static F load_f16(const uint16_t* p) {
    return join(_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))),
                _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 8))));
  }
  static F load_bf16(const uint16_t* p) {
    auto widen = [](const uint16_t* q) {
      __m128i half = _mm_loadu_si128(reinterpret_cast<const __m128i*>(q));
      return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
    };
    return join(widen(p), widen(p + 8));
  }

  static F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
  static F add(F a, F b) { return _mm512_add_ps(a, b); }
  static F sub(F a, F b) { return _mm512_sub_ps(a, b); }
  static F mul(F a, F b) { return _mm512_mul_ps(a, b); }
  static F div(F a, F b) { return _mm512_div_ps(a, b); }
  // a > b ? a : b, so a NaN in a lane gives b.
  static F max(F a, F b) { return _mm512_max_ps(a, b); }

  static Mask less(F a, F b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
  static F select(Mask m, F yes, F no) { return _mm512_mask_blend_ps(m, no, yes); }
  static F select_less_equal(F a, F b, F yes, F no) {
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LE_OQ), no, yes);
  }
  // The bits of p plus the bits of s << 23, as integers that wrap.
  static F shift_exponent(F p, F s) {
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(p), _mm512_slli_epi32(_mm512_castps_si512(s), 23)));
  }
  static uint32_t bits(Mask m) { return m; }

  static I load_i32(const void* p) { return _mm512_loadu_si512(p); }
  static F to_float(I a) { return _mm512_cvtepi32_ps(a); }
  template <int kBits>
  static I shift_left(I a) {
    return _mm512_slli_epi32(a, kBits);
  }
  template <int kBits>
  static I shift_right(I a) {
    return _mm512_srli_epi32(a, kBits);
  }
  template <int kBits>
  static I shift_right_signed(I a) {
    return _mm512_srai_epi32(a, kBits);
  }
  static I and_int(I a, int32_t b) { return _mm512_and_si512(a, _mm512_set1_epi32(b)); }
  static I zero_int() { return _mm512_setzero_si512(); }
  static I broadcast_int(int32_t v) { return _mm512_set1_epi32(v); }
  static I add_int(I a, I b) { return _mm512_add_epi32(a, b); }
  static I sub_int(I a, I b) { return _mm512_sub_epi32(a, b); }
  static I mul_int(I a, I b) { return _mm512_mullo_epi32(a, b); }
  // To the nearest integer, halves to even; the caller keeps them within 32 bits.
  static I round_int(F a) { return _mm512_cvtps_epi32(a); }
  static int32_t reduce_add_int(I a) {
    __m256i eight = _mm256_add_epi32(_mm512_castsi512_si256(a), _mm512_extracti64x4_epi64(a, 1));
    __m128i four = _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
    __m128i two = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 0xb1)));
  }
  // Sixteen lanes within -128..127 as bytes.
  static void store_s8(int8_t* p, I a) { _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtsepi32_epi8(a)); }

  // Integer products of each lane's four bytes with x[0, 4), in 32 bits. The instruction wants one factor unsigned: u4
  // codes are, s8 codes are moved up by 128, which costs 128 times the sum of x in the end.
  static constexpr int kU4Inputs = 1 << 24;
  static I add_u4(I sum, I codes, const int8_t* x) { return _mm512_dpbusd_epi32(sum, codes, broadcast_bytes(x)); }
  static I total_u4(I sum) { return sum; }
  static constexpr int32_t kS8Bias = 128;  // what add_s8 adds to every code
  static I add_s8(I sum, I codes, const int8_t* x) {
    I moved = _mm512_xor_si512(codes, _mm512_set1_epi32(static_cast<int32_t>(0x80808080u)));
    return _mm512_dpbusd_epi32(sum, moved, broadcast_bytes(x));
  }

  // The tree of docs/NUMERICS.md: lanes i and i + 8, then i and i + 4, i + 2, i + 1.
  static float reduce_add(F a) {
    __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
  }
  static void prefetch(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0); }

 private:
  static F join(__m256 lo, __m256 hi) { return _mm512_insertf32x8(_mm512_castps256_ps512(lo), hi, 1); }
  static I broadcast_bytes(const int8_t* x) {
    int32_t four;
    std::memcpy(&four, x, sizeof four);
    return _mm512_set1_epi32(four);
  }
};

}  // namespace
}  // namespace halftone
