// All loops of CpuOps for the vector primitives S, which read pages through two members of KvFormat.
#pragma once

#include "kernels/cpu/attention_body.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/ops_body.h"
#include "kernels/cpu/roofline_body.h"

namespace halftone {
namespace {

template <class S, auto kLoadKeys, auto kLoadValues>
void attend_split(const AttentionTile& tile, int64_t split, AttentionPartial* partials, float* values, float* scratch) {
  const KvFormat& format = *tile.call->kv.layout->format;
  SplitAttention<S>(tile, split, format.*kLoadKeys, format.*kLoadValues, scratch).run(partials, values);
}

template <class S, auto kLoadKeys, auto kLoadValues>
constexpr CpuOps ops_table() {
  return {.rms_norm = rms_norm<S>,
          .add_rms_norm = add_rms_norm<S>,
          .multiply_panel = multiply_panel<S>,
          .quantize = quantize<S>,
          .gate = gate<S>,
          .cap = cap<S>,
          .rope = rope<S>,
          .attend_split = attend_split<S, kLoadKeys, kLoadValues>,
          .merge = merge<S>,
          .maximum = maximum<S>,
          .sum_exp = sum_exp<S>,
          .count_greater = count_greater<S>,
          .scan_greater = scan_greater<S>,
          .read_all = read_all<S>,
          .multiply_add = {multiply_floats<S>, multiply_integers<S, S::add_s8, 6>, multiply_integers<S, S::add_u4, 4>},
          .roofline_rounds = S::kTiles ? 50'000 : 1'000};
}

}  // namespace
}  // namespace halftone
