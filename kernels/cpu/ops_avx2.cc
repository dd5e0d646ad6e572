#include "kernels/cpu/attention_body.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/ops_body.h"
#include "kernels/cpu/simd/avx2.h"

namespace halftone {

namespace {

void attend_split(const AttentionTile& tile, int64_t split, AttentionPartial* partials, float* values, float* scratch) {
  const KvFormat& format = *tile.call->kv.layout->format;
  SplitAttention<Avx2>(tile, split, format.load_keys_avx2, format.load_values_avx2, scratch).run(partials, values);
}

}  // namespace

CpuOps cpu_ops_avx2() {
  using S = Avx2;
  return {.rms_norm = rms_norm<S>,
          .multiply_panel = multiply_panel<S>,
          .quantize = quantize<S>,
          .silu_multiply = silu_multiply<S>,
          .rope = rope<S>,
          .attend_split = attend_split,
          .merge = merge<S>,
          .maximum = maximum<S>,
          .sum_exp = sum_exp<S>,
          .count_greater = count_greater<S>,
          .scan_greater = scan_greater<S>};
}

}  // namespace halftone
