// Before anything that includes the compiler's own intrinsics: their names become the library's functions.
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>
#include <simde/x86/fma.h>

// What the library lacks: both halves by AVX2.
namespace {

template <typename Half>
__m512i by_halves(__m512i a, Half half) {
  return _mm512_inserti64x4(_mm512_castsi256_si512(half(_mm512_castsi512_si256(a))),
                            half(_mm512_extracti64x4_epi64(a, 1)), 1);
}
__m512i srai_epi32(__m512i a, int bits) {
  return by_halves(a, [bits](__m256i half) { return _mm256_srai_epi32(half, bits); });
}
__m512 cvtepi32_ps(__m512i a) {
  return _mm512_castsi512_ps(by_halves(a, [](__m256i half) { return _mm256_castps_si256(_mm256_cvtepi32_ps(half)); }));
}
__m512i cvtps_epi32(__m512 a) {
  return by_halves(_mm512_castps_si512(a), [](__m256i half) { return _mm256_cvtps_epi32(_mm256_castsi256_ps(half)); });
}
__m256 extractf32x8_ps(__m512 a, int) {
  return _mm256_castsi256_ps(_mm512_extracti64x4_epi64(_mm512_castps_si512(a), 1));
}

}  // namespace
// Macros in some compilers' own headers.
#undef _mm512_srai_epi32
#define _mm512_srai_epi32 srai_epi32
#undef _mm512_cvtepi32_ps
#define _mm512_cvtepi32_ps cvtepi32_ps
#undef _mm512_cvtps_epi32
#define _mm512_cvtps_epi32 cvtps_epi32
#undef _mm512_extractf32x8_ps
#define _mm512_extractf32x8_ps extractf32x8_ps

#include "kernels/contract/exp.h"
#include "kernels/cpu/linear_a8_body.h"
#include "kernels/cpu/linear_body.h"
#include "kernels/cpu/ops_table.h"
#include "kernels/cpu/simd/avx512vnni.h"
#include "kernels/weights/bf16/bf16_decoder.h"
#include "kernels/weights/f32/f32_decoder.h"
#include "kernels/weights/w4/w4_decoder.h"
#include "kernels/weights/w8/w8_decoder.h"
#include "tests/kernels/simde_body.h"

namespace halftone::test {
namespace {

using S = Avx512Vnni;

struct Named {
  std::string_view format;
  CpuLinearKernels kernels;
};
constexpr Named kKernels[] = {{"f32", linear_kernels<S, F32Decoder<S>>()},
                              {"bf16", linear_kernels<S, BF16Decoder<S>>()},
                              {"w8", linear_kernels<S, W8Decoder<S>>(direct_a8<S, W8Codes<S>>)},
                              {"w4", linear_kernels<S, W4Decoder<S>>(direct_a8<S, W4Codes<S>>)}};

const CpuLinearKernels* kernels_of(const WeightFormat& format) {
  for (const Named& named : kKernels) {
    if (named.format == format.name) return &named.kernels;
  }
  return nullptr;
}

void exps(const float* x, int64_t count, float* y) {
  for (int64_t i = 0; i < count; i += S::kLanes) S::store(y + i, exp_ordered<S>(S::load(x + i)));
}

void silus(const float* x, int64_t count, float* y) {
  for (int64_t i = 0; i < count; i += S::kLanes) S::store(y + i, silu_ordered<S>(S::load(x + i)));
}

void tanhs(const float* x, int64_t count, float* y) {
  for (int64_t i = 0; i < count; i += S::kLanes) S::store(y + i, tanh_ordered<S>(S::load(x + i)));
}

void gelus(const float* x, int64_t count, float* y) {
  for (int64_t i = 0; i < count; i += S::kLanes) S::store(y + i, gelu_tanh_ordered<S>(S::load(x + i)));
}

}  // namespace

CpuBody simde_body() {
  return {"avx512vnni_simde", ops_table<S, &KvFormat::load_keys_avx2, &KvFormat::load_values_avx2>(), kernels_of};
}

ExpBodies simde_exp_bodies() { return {exps, silus, tanhs, gelus}; }

}  // namespace halftone::test
