#include "kernels/cuda/attention_kernel.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {
namespace attention {
namespace {

constexpr int kMergedAtOnce = 8;  // splits whose loads are issued before the first is merged

// Grid: (rows, query heads); a thread for each dimension.
HALFTONE_KERNEL void HALFTONE_LAUNCH_BOUNDS(kThreads, 4)
    merge_kernel(DeviceAttention call, DeviceBatch batch, int head_dim) {
  pdl_trigger();
  pdl_wait();
  const int row = static_cast<int>(blockIdx.x), head = static_cast<int>(blockIdx.y);
  if (row >= *batch.tokens) return;
  const int position = batch.positions[row], first = first_visible(position, call.window) / kAttentionSplit;
  const int splits = position / kAttentionSplit + 1 - first, stride = 2 + head_dim;
  const float* partials = call.partials + partial_at(call, row, head, first, head_dim);
  for (int d = static_cast<int>(threadIdx.x); d < head_dim; d += kThreads) {
    float max = partials[0], sum = partials[1], out = partials[2 + d];
    for (int split = 1; split < splits; split += kMergedAtOnce) {
      float maxes[kMergedAtOnce], sums[kMergedAtOnce], outs[kMergedAtOnce];
      HALFTONE_UNROLL
      for (int i = 0; i < kMergedAtOnce; ++i) {
        const float* partial = partials + smaller(split + i, splits - 1) * stride;
        maxes[i] = partial[0], sums[i] = partial[1], outs[i] = partial[2 + d];
      }
      HALFTONE_UNROLL
      for (int i = 0; i < kMergedAtOnce; ++i) {
        if (split + i >= splits) continue;
        out = merged(out, max, outs[i], maxes[i]);
        sum = merged(sum, max, sums[i], maxes[i]);
        max = Max::of(max, maxes[i]);
      }
    }
    if (call.sinks != nullptr) {
      out = merged(out, max, 0.0f, call.sinks[head]);
      sum = merged(sum, max, 1.0f, call.sinks[head]);
    }
    call.y[row * call.y_stride + head * head_dim + d] = bf16_from_f32(out / sum);
  }
}

}  // namespace

cudaError_t merge_partials(const DeviceAttention& call, const DeviceBatch& batch, int head_dim, cudaStream_t stream) {
  const LaunchShape shape{dim3(static_cast<unsigned>(call.rows), static_cast<unsigned>(call.heads)), dim3(kThreads), 0,
                          stream, true};
  return launch(merge_kernel, shape, call, batch, head_dim);
}

int heads_per_cta(const DeviceAttention& call, int kv_heads) {
  const int group = call.heads / kv_heads, splits = call.partials != nullptr ? call.splits : 1;
  int heads = group > 2 ? 4 : group;
  auto ctas = [&] { return static_cast<int64_t>(call.rows) * kv_heads * ((group + heads - 1) / heads) * splits; };
  while (heads > 1 && ctas() < call.sm_count) heads /= 2;
  return heads;
}

}  // namespace attention

size_t attention_partial_bytes(int64_t rows, int64_t heads, int64_t head_dim, int64_t splits) {
  return static_cast<size_t>(rows * heads * splits * (2 + head_dim)) * sizeof(float);
}

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
