// A warp for each head of each token: what its product made is read as bf16, rotated in float32 and written back, or
// stored. Bound: the bytes.
#pragma once

#include "kernels/cuda/cta_reduce.h"
#include "kernels/cuda/primitives/atomic.h"
#include "kernels/cuda/primitives/numbers.h"
#include "kernels/cuda/primitives/pdl.h"
#include "kernels/cuda/rope_store.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE::rope {

// One head of one token, by one warp: from bf16 to float32 in shared memory, normalized and rotated.
HALFTONE_DEVICE void norm_and_rotate(const DeviceRope& call, const uint16_t* from, const float* norm, int head_dim,
                                     int position, float* x) {
  const int lane = static_cast<int>(threadIdx.x), half = call.rotated / 2;
  float squares = 0;
  for (int i = lane; i < head_dim; i += kWarp) {
    x[i] = f32_from_bf16(from[i]);
    squares = fma(x[i], x[i], squares);
  }
  if (norm != nullptr) {
    const float mean = reduce_sum(squares) / static_cast<float>(head_dim);
    const float inverse = 1.0f / square_root(mean + call.epsilon);
    for (int i = lane; i < head_dim; i += kWarp) x[i] = (x[i] * inverse) * norm[i];
  }
  warp_barrier();
  for (int i = lane; i < half; i += kWarp) {
    const float cosine = call.cosines[static_cast<int64_t>(position) * half + i];
    const float sine = call.sines[static_cast<int64_t>(position) * half + i];
    const float x0 = x[i], x1 = x[i + half];
    x[i] = fma(x0, cosine, -(x1 * sine));
    x[i + half] = fma(x1, cosine, x0 * sine);
  }
  warp_barrier();
}

HALFTONE_DEVICE void rotate_query(const DeviceRope& call, int row, int head, int head_dim, int position, float* x) {
  uint16_t* q = call.q + row * call.q_stride + head * head_dim;
  norm_and_rotate(call, q, call.q_norm, head_dim, position, x);
  for (int i = static_cast<int>(threadIdx.x); i < head_dim; i += kWarp) q[i] = bf16_from_f32(x[i]);
}

template <typename Pages>
HALFTONE_DEVICE void store_head(const DeviceRope& call, const DeviceKv& kv, std::byte* page, int row, int head,
                                int position, float* x) {
  using Code = typename Pages::Code;
  const int slot = position & (kv.page_tokens - 1);
  auto* keys = reinterpret_cast<Code*>(page + static_cast<uint64_t>(head) * kv.head_bytes);
  Code* values = keys + kv.head_dim * kv.page_tokens;
  auto* scales = reinterpret_cast<uint16_t*>(page + kv.scales_offset) + head * 2 * kv.page_tokens + slot;
  norm_and_rotate(call, call.k + row * call.k_stride + head * kv.head_dim, call.k_norm, kv.head_dim, position, x);
  int clamped = Pages::store(x, kv.head_dim, keys + slot, kv.page_tokens, scales);
  warp_barrier();
  const uint16_t* v = call.v + row * call.v_stride + head * kv.head_dim;
  for (int i = static_cast<int>(threadIdx.x); i < kv.head_dim; i += kWarp) x[i] = f32_from_bf16(v[i]);
  warp_barrier();
  clamped += Pages::store(x, kv.head_dim, values + slot * kv.head_dim, 1, scales + kv.page_tokens);
  if (clamped > 0) global_add(call.clamped, clamped);
}

// Grid: (rows, query heads and then KV heads), a warp each.
template <typename Pages>
HALFTONE_KERNEL void HALFTONE_LAUNCH_BOUNDS(kWarp, 16)
    rope_store_kernel(DeviceRope call, DeviceKv kv, DeviceBatch batch) {
  pdl_trigger();
  pdl_wait();
  const int row = static_cast<int>(blockIdx.x), head = static_cast<int>(blockIdx.y);
  if (row >= *batch.tokens) return;
  float* x = dynamic_shared<float>();
  const int position = batch.positions[row];
  if (head < call.heads) {
    rotate_query(call, row, head, kv.head_dim, position, x);
  } else {
    store_head<Pages>(call, kv, page_of(kv, batch, row, position), row, head - call.heads, position, x);
  }
}

template <typename Pages>
cudaError_t rope_store(const DeviceRope& call, const DeviceKv& kv, const DeviceBatch& batch, cudaStream_t stream) {
  const LaunchShape shape{dim3(static_cast<unsigned>(call.rows), static_cast<unsigned>(call.heads + kv.kv_heads)),
                          dim3(kWarp), static_cast<size_t>(kv.head_dim) * sizeof(float), stream, true};
  return launch(rope_store_kernel<Pages>, shape, call, kv, batch);
}

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE::rope
