#include "kernels/cuda/attention_kernel.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {
namespace attention {
namespace {

// Grid: (rows, query heads); a thread for each dimension.
HALFTONE_KERNEL void HALFTONE_LAUNCH_BOUNDS(kThreads, 4)
    merge_kernel(DeviceAttention call, DeviceBatch batch, int head_dim) {
  const int row = static_cast<int>(blockIdx.x), head = static_cast<int>(blockIdx.y);
  if (row >= *batch.tokens) return;
  const int position = batch.positions[row], first = first_visible(position, call.window) / kAttentionSplit;
  for (int d = static_cast<int>(threadIdx.x); d < head_dim; d += kThreads) {
    const float* partial = call.partials + partial_at(call, row, head, first, head_dim);
    float max = partial[0], sum = partial[1], out = partial[2 + d];
    for (int split = first + 1; split <= position / kAttentionSplit; ++split) {
      partial += 2 + head_dim;
      out = merged(out, max, partial[2 + d], partial[0]);
      sum = merged(sum, max, partial[1], partial[0]);
      max = Max::of(max, partial[0]);
    }
    call.y[row * call.y_stride + head * head_dim + d] = bf16_from_f32(out / sum);
  }
}

}  // namespace

cudaError_t merge_partials(const DeviceAttention& call, const DeviceBatch& batch, int head_dim, cudaStream_t stream) {
  const LaunchShape shape{dim3(static_cast<unsigned>(call.rows), static_cast<unsigned>(call.heads)), dim3(kThreads), 0,
                          stream};
  return launch(merge_kernel, shape, call, batch, head_dim);
}

}  // namespace attention

size_t attention_partial_bytes(int64_t rows, int64_t heads, int64_t head_dim, int64_t splits) {
  return static_cast<size_t>(rows * heads * splits * (2 + head_dim)) * sizeof(float);
}

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
