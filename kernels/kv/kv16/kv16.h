// kv16: keys and values as IEEE half, rounded to nearest even. Beyond +-65504 a value is clamped and counted; NaN stays
// NaN.
//   K uint16_t [head_dim][T]; V uint16_t [T][head_dim]; no scales.
#pragma once

#include "kernels/contract/kv_format.h"

namespace halftone {

extern const KvFormat kKv16;

void kv16_load_keys_avx2(const KvLayer& layer, const std::byte* data, int64_t head, float* out);
void kv16_load_values_avx2(const KvLayer& layer, const std::byte* data, int64_t head, float* out);

}  // namespace halftone
