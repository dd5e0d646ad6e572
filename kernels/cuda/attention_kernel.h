// A block for each (token, KV head) and, where there is memory for partial results, each split of 256 positions.
// Scores: a thread for each position (keys lie [head_dim][tokens] in a page, so that neighbours read neighbours).
// Values: a thread for each dimension. Splits are merged in ascending order by the same arithmetic whether one block
// walks them or many blocks share them, so that a result does not depend on its company. Bound: bytes of the pages,
// read once for each four query heads of a KV head and each token.
#pragma once

#include "kernels/contract/exp.h"
#include "kernels/cuda/attention.h"
#include "kernels/cuda/block.h"
#include "kernels/cuda/primitives/numbers.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE::attention {

constexpr int kThreads = 128;
constexpr int kHeadsAtOnce = 4;  // query heads that share what was read of a key or value

struct Work {
  int row, kv_head, position, group;  // group: query heads of a KV head
  int first_head;
};

// Some positions of one split.
struct Positions {
  int first, end;
};

// Shared memory of a block, in floats.
struct Shared {
  float* scratch;  // [warps]
  float* q;        // [group][head_dim]
  float* weights;  // [group][kAttentionSplit]: scores, then exp(score - max)
  float* out;      // [group][head_dim]: merged so far
  float* max;      // [group]
  float* sum;      // [group]
};

inline size_t shared_floats(int group, int head_dim) {
  const size_t each = 2 * static_cast<size_t>(head_dim) + kAttentionSplit + 2;
  return kThreads / kWarp + static_cast<size_t>(group) * each;
}

HALFTONE_DEVICE Shared shared_of(int group, int head_dim) {
  Shared s;
  s.scratch = dynamic_shared<float>();
  s.q = s.scratch + kThreads / kWarp;
  s.weights = s.q + group * head_dim;
  s.out = s.weights + group * kAttentionSplit;
  s.max = s.out + group * head_dim;
  s.sum = s.max + group;
  return s;
}

// Scores of the positions into shared.weights.
template <typename Pages>
HALFTONE_DEVICE void score_split(const DeviceAttention& call, const DeviceKv& kv, const DeviceBatch& batch,
                                 const Work& work, Positions seen, const Shared& shared) {
  for (int t = seen.first + static_cast<int>(threadIdx.x); t < seen.end; t += kThreads) {
    const std::byte* page = page_of(kv, batch, work.row, t);
    const int slot = t % kv.page_tokens;
    const auto* keys =
        reinterpret_cast<const typename Pages::Code*>(page + static_cast<uint64_t>(work.kv_head) * kv.head_bytes) +
        slot;
    const float scale = Pages::scale(page, kv, work.kv_head, 0, slot);
    for (int head = 0; head < work.group; head += kHeadsAtOnce) {
      float dots[kHeadsAtOnce] = {};
      for (int d = 0; d < kv.head_dim; ++d) {
        const float key = Pages::value(keys[d * kv.page_tokens], scale);
        for (int h = 0; h < kHeadsAtOnce; ++h) {
          if (head + h < work.group) dots[h] = fma(shared.q[(head + h) * kv.head_dim + d], key, dots[h]);
        }
      }
      HALFTONE_UNROLL
      for (int h = 0; h < kHeadsAtOnce; ++h) {
        if (head + h >= work.group) continue;
        shared.weights[(head + h) * kAttentionSplit + t % kAttentionSplit] = dots[h] * call.scale;
      }
    }
  }
  block_barrier();
}

// Turns one head's scores into weights; their largest and their sum for every thread.
HALFTONE_DEVICE void weigh_split(Positions seen, float* weights, float* scratch, float* max, float* sum) {
  float largest = -HUGE_VALF, all = 0;
  for (int t = seen.first + static_cast<int>(threadIdx.x); t < seen.end; t += kThreads) {
    largest = Max::of(largest, weights[t % kAttentionSplit]);
  }
  *max = reduce_block<Max>(largest, scratch);
  for (int t = seen.first + static_cast<int>(threadIdx.x); t < seen.end; t += kThreads) {
    float& weight = weights[t % kAttentionSplit];
    weight = exp_ordered<ExpOps>(weight - *max);
    all = all + weight;
  }
  *sum = reduce_block<Sum>(all, scratch);
}

// out[h] = weighted values of dimension d, for some heads at once.
template <typename Pages>
HALFTONE_DEVICE void add_values(const DeviceKv& kv, const DeviceBatch& batch, const Work& work, Positions seen,
                                int head, int d, const Shared& shared, float* out) {
  for (int t = seen.first; t < seen.end; ++t) {
    const std::byte* page = page_of(kv, batch, work.row, t);
    const int slot = t % kv.page_tokens;
    const auto* values =
        reinterpret_cast<const typename Pages::Code*>(page + static_cast<uint64_t>(work.kv_head) * kv.head_bytes) +
        kv.head_dim * kv.page_tokens;
    const float value = Pages::value(values[slot * kv.head_dim + d], Pages::scale(page, kv, work.kv_head, 1, slot));
    for (int h = 0; h < kHeadsAtOnce; ++h) {
      if (head + h < work.group) {
        out[h] = fma(shared.weights[(head + h) * kAttentionSplit + t % kAttentionSplit], value, out[h]);
      }
    }
  }
}

// One more split for what was merged so far.
HALFTONE_DEVICE float merged(float all, float max, float split, float split_max) {
  const float most = Max::of(max, split_max);
  return fma(split, exp_ordered<ExpOps>(split_max - most), all * exp_ordered<ExpOps>(max - most));
}

HALFTONE_DEVICE int64_t partial_at(const DeviceAttention& call, int row, int head, int split, int head_dim) {
  return ((static_cast<int64_t>(row) * call.heads + head) * call.splits + split) * (2 + head_dim);
}

// Puts a split's result where it belongs: among the partials, or into what this block has merged.
template <typename Pages>
HALFTONE_DEVICE void take_split(const DeviceAttention& call, const DeviceKv& kv, const DeviceBatch& batch,
                                const Work& work, Positions seen, bool is_first, const Shared& shared) {
  auto partial = [&](int head) {
    return call.partials +
           partial_at(call, work.row, work.first_head + head, seen.first / kAttentionSplit, kv.head_dim);
  };
  for (int head = 0; head < work.group; head += kHeadsAtOnce) {
    float max[kHeadsAtOnce], sum[kHeadsAtOnce];
    HALFTONE_UNROLL
    for (int h = 0; h < kHeadsAtOnce; ++h) {
      if (head + h >= work.group) continue;
      weigh_split(seen, shared.weights + (head + h) * kAttentionSplit, shared.scratch, &max[h], &sum[h]);
    }
    for (int d = static_cast<int>(threadIdx.x); d < kv.head_dim; d += kThreads) {
      float out[kHeadsAtOnce] = {};
      add_values<Pages>(kv, batch, work, seen, head, d, shared, out);
      HALFTONE_UNROLL
      for (int h = 0; h < kHeadsAtOnce; ++h) {
        if (head + h >= work.group) continue;
        float& all = shared.out[(head + h) * kv.head_dim + d];
        if (call.partials != nullptr) {
          partial(head + h)[2 + d] = out[h];
        } else {
          all = is_first ? out[h] : merged(all, shared.max[head + h], out[h], max[h]);
        }
      }
    }
    block_barrier();
    if (threadIdx.x == 0) {
      HALFTONE_UNROLL
      for (int h = 0; h < kHeadsAtOnce; ++h) {
        if (head + h >= work.group) continue;
        float &all_max = shared.max[head + h], &all_sum = shared.sum[head + h];
        if (call.partials != nullptr) {
          partial(head + h)[0] = max[h], partial(head + h)[1] = sum[h];
        } else {
          all_sum = is_first ? sum[h] : merged(all_sum, all_max, sum[h], max[h]);
          all_max = is_first ? max[h] : Max::of(all_max, max[h]);
        }
      }
    }
    block_barrier();
  }
}

HALFTONE_DEVICE int first_visible(int position, int window) {
  return window > 0 && position >= window ? position - window + 1 : 0;
}

template <typename Pages>
HALFTONE_KERNEL void HALFTONE_LAUNCH_BOUNDS(kThreads, 4)
    attention_kernel(DeviceAttention call, DeviceKv kv, DeviceBatch batch) {
  const int row = static_cast<int>(blockIdx.x);
  if (row >= *batch.tokens) return;
  Work work{row, static_cast<int>(blockIdx.y), batch.positions[row], call.heads / kv.kv_heads, 0};
  work.first_head = work.kv_head * work.group;
  const Shared shared = shared_of(work.group, kv.head_dim);
  const uint16_t* q = call.q + row * call.q_stride + work.first_head * kv.head_dim;
  for (int i = static_cast<int>(threadIdx.x); i < work.group * kv.head_dim; i += kThreads)
    shared.q[i] = f32_from_bf16(q[i]);
  block_barrier();
  const int visible = first_visible(work.position, call.window);
  const int first_split = call.partials != nullptr ? static_cast<int>(blockIdx.z) : visible / kAttentionSplit;
  const int end_split = call.partials != nullptr ? first_split + 1 : work.position / kAttentionSplit + 1;
  for (int split = first_split; split < end_split; ++split) {
    Positions seen{split * kAttentionSplit, (split + 1) * kAttentionSplit};
    if (seen.first < visible) seen.first = visible;
    if (seen.end > work.position + 1) seen.end = work.position + 1;
    if (seen.first >= seen.end) return;  // only where splits are shared: this one is not seen
    score_split<Pages>(call, kv, batch, work, seen, shared);
    take_split<Pages>(call, kv, batch, work, seen, split == first_split, shared);
  }
  if (call.partials != nullptr) return;
  uint16_t* y = call.y + row * call.y_stride + work.first_head * kv.head_dim;
  for (int i = static_cast<int>(threadIdx.x); i < work.group * kv.head_dim; i += kThreads) {
    y[i] = bf16_from_f32(shared.out[i] / shared.sum[i / kv.head_dim]);
  }
}

cudaError_t merge_partials(const DeviceAttention& call, const DeviceBatch& batch, int head_dim, cudaStream_t stream);

template <typename Pages>
cudaError_t attend(const DeviceAttention& call, const DeviceKv& kv, const DeviceBatch& batch, cudaStream_t stream) {
  const unsigned rows = static_cast<unsigned>(call.rows);
  const unsigned splits = call.partials != nullptr ? static_cast<unsigned>(call.splits) : 1;
  const LaunchShape shape{dim3(rows, static_cast<unsigned>(kv.kv_heads), splits), dim3(kThreads),
                          shared_floats(call.heads / kv.kv_heads, kv.head_dim) * sizeof(float), stream};
  const cudaError_t error = launch(attention_kernel<Pages>, shape, call, kv, batch);
  if (error != cudaSuccess || call.partials == nullptr) return error;
  return merge_partials(call, batch, kv.head_dim, stream);
}

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE::attention
