#include <immintrin.h>

#include "kernels/kv/kv16/kv16.h"
#include "kernels/kv/page_offsets.h"

namespace halftone {
namespace {

// count is a multiple of 16, because page_tokens is. Bound by reading the halves and writing the floats once.
void load(const std::byte* halves, int64_t count, float* out) {
  for (int64_t i = 0; i < count; i += 16) {
    const __m128i low = _mm_loadu_si128(reinterpret_cast<const __m128i*>(halves + i * 2));
    const __m128i high = _mm_loadu_si128(reinterpret_cast<const __m128i*>(halves + i * 2 + 16));
    _mm256_storeu_ps(out + i, _mm256_cvtph_ps(low));
    _mm256_storeu_ps(out + i + 8, _mm256_cvtph_ps(high));
  }
}

}  // namespace

void kv16_load_keys_avx2(const KvLayer& layer, const std::byte* data, int64_t head, float* out) {
  load(kv_keys(layer, data, head), kv_values_per_head(layer), out);
}

void kv16_load_values_avx2(const KvLayer& layer, const std::byte* data, int64_t head, float* out) {
  load(kv_values(layer, data, head), kv_values_per_head(layer), out);
}

}  // namespace halftone
