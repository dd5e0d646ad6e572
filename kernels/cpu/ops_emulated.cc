#include "kernels/cpu/attention_body.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/ops_body.h"
#include "kernels/cpu/simd/emulated.h"

namespace halftone {

namespace {

void attend_split(const AttentionTile& tile, int64_t split, AttentionPartial* partials, float* values, float* scratch) {
  const KvFormat& format = *tile.call->kv.layout->format;
  SplitAttention<Emulated>(tile, split, format.load_keys, format.load_values, scratch).run(partials, values);
}

}  // namespace

CpuOps cpu_ops_emulated() {
  using S = Emulated;
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
