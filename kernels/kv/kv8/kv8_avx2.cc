#include <immintrin.h>

#include "kernels/kv/kv8/kv8.h"
#include "kernels/kv/page_offsets.h"

namespace halftone {
namespace {

__m256 codes8(const std::byte* codes) {
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(codes))));
}

__m256 scales8(const std::byte* scales) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(scales)));
}

}  // namespace

// Sixteen tokens at a time, whose scales stay in two registers while the dimensions go by.
void kv8_load_keys_avx2(const KvLayer& layer, const std::byte* data, int64_t head, float* out) {
  const std::byte* codes = kv_keys(layer, data, head);
  const std::byte* scales = kv_key_scales(layer, data, head);
  for (int64_t slot = 0; slot < layer.page_tokens; slot += 16) {
    const __m256 low = scales8(scales + slot * 2), high = scales8(scales + slot * 2 + 16);
    for (int64_t d = 0; d < layer.head_dim; ++d) {
      const int64_t i = d * layer.page_tokens + slot;
      _mm256_storeu_ps(out + i, _mm256_mul_ps(codes8(codes + i), low));
      _mm256_storeu_ps(out + i + 8, _mm256_mul_ps(codes8(codes + i + 8), high));
    }
  }
}

// Token by token; a head_dim that is no multiple of 8 ends in single values.
void kv8_load_values_avx2(const KvLayer& layer, const std::byte* data, int64_t head, float* out) {
  const std::byte* codes = kv_values(layer, data, head);
  const std::byte* scales = kv_value_scales(layer, data, head);
  const int64_t dim = layer.head_dim, whole = dim / 8 * 8;
  for (int64_t slot = 0; slot < layer.page_tokens; ++slot) {
    uint16_t bits;
    __builtin_memcpy(&bits, scales + slot * 2, 2);
    const __m256 scale = _mm256_broadcastss_ps(_mm_cvtph_ps(_mm_cvtsi32_si128(bits)));
    const int64_t first = slot * dim;
    for (int64_t i = first; i < first + whole; i += 8) {
      _mm256_storeu_ps(out + i, _mm256_mul_ps(codes8(codes + i), scale));
    }
    for (int64_t i = first + whole; i < first + dim; ++i) {
      out[i] = static_cast<float>(static_cast<int8_t>(codes[i])) * _mm256_cvtss_f32(scale);
    }
  }
}

}  // namespace halftone
