// kv8: keys and values as signed bytes, one f16 scale for each token, head and K or V. Value = code * scale, exactly.
//   K int8_t [head_dim][T]; V int8_t [T][head_dim]; scales uint16_t [kv_heads][2][T] after all heads.
//
// Of one vector x: amax = max |x|; scale = f16(amax / 127), one step up where amax / scale would round beyond 127 (only
// subnormal scales); code = round_half_even(x / scale). All zero: scale 0, codes 0. Beyond +-127 * 65504 a value is
// clamped and counted. A NaN anywhere makes the scale NaN, so that the whole vector reads as NaN.
#pragma once

#include "kernels/contract/kv_format.h"

namespace halftone {

extern const KvFormat kKv8;

void kv8_load_keys_avx2(const KvLayer& layer, const std::byte* data, int64_t head, float* out);
void kv8_load_values_avx2(const KvLayer& layer, const std::byte* data, int64_t head, float* out);

}  // namespace halftone
