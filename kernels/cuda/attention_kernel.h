// A block for each token and one, two or four query heads of a KV head and, where there is memory for partial results,
// each split of 256 positions. Keys and values come through a ring in shared memory (attention_pieces.h).
// Scores: a thread for each position (keys lie [head_dim][tokens] in a page, so that neighbours read neighbours).
// Values: a thread for each dimension. Splits are merged in ascending order by the same arithmetic whether one block
// walks them or many blocks share them, and a head has the same sums whatever shares its block, so that a result does
// not depend on its company. Bound: bytes of the pages, read once for each token and block of heads; for few tokens of
// short sequences, latency: three dependent readings, then the multiply-adds of a split.
#pragma once

#include "kernels/contract/check.h"
#include "kernels/contract/exp.h"
#include "kernels/cuda/attention_pieces.h"
#include "kernels/cuda/primitives/numbers.h"
#include "kernels/cuda/primitives/overlap.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE::attention {

constexpr int kBatch = 8;  // codes that are read before the first is needed
constexpr int kDimsOfThread = 2;
constexpr int kMostHeadDim = kDimsOfThread * kThreads;

// One split, or what was merged so far, as every thread has it: the largest score and the sum of the weights of each
// head, and the weighted values of dimensions threadIdx.x and threadIdx.x + 128.
template <int kHeads>
struct Attended {
  OfHeads<kHeads> max, sum, out[kDimsOfThread];
};

template <int kHeads>
HALFTONE_DEVICE OfHeads<kHeads> each(float value) {
  OfHeads<kHeads> all;
  HALFTONE_UNROLL
  for (int h = 0; h < kHeads; ++h) all.head[h] = value;
  return all;
}

// Calls f(first) ... f(end - 1), kBatch of them in a row without a branch.
template <typename F>
HALFTONE_DEVICE void in_batches(int first, int end, const F& f) {
  for (; first + kBatch <= end; first += kBatch) {
    HALFTONE_UNROLL
    for (int i = 0; i < kBatch; ++i) f(first + i);
  }
  for (; first < end; ++first) f(first);
}

template <int kHeads>
HALFTONE_DEVICE void load_queries(const DeviceAttention& call, const Work<kHeads>& work) {
  const uint16_t* q = call.q + work.row * call.q_stride + work.first_head * work.kv.head_dim;
  for (int d = static_cast<int>(threadIdx.x); d < work.kv.head_dim; d += kThreads) {
    OfHeads<kHeads> all = each<kHeads>(0);
    HALFTONE_UNROLL
    for (int h = 0; h < kHeads; ++h) {
      if (h < work.heads) all.head[h] = f32_from_bf16(q[h * work.kv.head_dim + d]);
    }
    work.shared.q[d] = all;
  }
}

// Into shared.scales.
template <typename Pages, int kHeads>
HALFTONE_DEVICE void load_scales(const Work<kHeads>& work, const Split& split) {
  for (int t = split.first + static_cast<int>(threadIdx.x); t < split.end; t += kThreads) {
    const std::byte* page = page_at(work, split, t);
    const int slot = t & (work.kv.page_tokens - 1);
    const float key = Pages::scale(page, work.kv, work.kv_head, 0, slot);
    const float value = Pages::scale(page, work.kv, work.kv_head, 1, slot);
    work.shared.scales[t - split.begin] = key;
    work.shared.scales[kAttentionSplit + t - split.begin] = value;
  }
}

template <typename Pages, int kHeads>
HALFTONE_DEVICE float scale_of(const Work<kHeads>& work, int is_value, int place) {
  if constexpr (Pages::kHasScales) return work.shared.scales[is_value * kAttentionSplit + place];
  return 1;
}

// Scores of the split into shared.weights. Returns how many pieces were taken.
template <typename Pages, int kHeads>
HALFTONE_DEVICE int score_split(float scale, const Work<kHeads>& work, const Split& split) {
  using Code = typename Pages::Code;
  int piece = 0;
  for (int tile = split.first_tile(); tile < split.end; tile += kThreads) {
    const int t = tile + static_cast<int>(threadIdx.x), place = t - split.begin;
    const bool seen = t >= split.first && t < split.end;
    OfHeads<kHeads> dots = each<kHeads>(0);
    for (int first = 0; first < work.kv.head_dim; first += kPieceRows<Code>) {
      const Code* keys = take_piece<Code>(work, split, piece++) + threadIdx.x;
      if (!seen) continue;
      const float key_scale = scale_of<Pages>(work, 0, place);
      const OfHeads<kHeads>* q = work.shared.q + first;
      in_batches(0, smaller(kPieceRows<Code>, work.kv.head_dim - first), [&](int d) {
        const float key = Pages::value(keys[d * kThreads], key_scale);
        const OfHeads<kHeads> of_dim = q[d];
        HALFTONE_UNROLL
        for (int h = 0; h < kHeads; ++h) dots.head[h] = fma(of_dim.head[h], key, dots.head[h]);
      });
    }
    HALFTONE_UNROLL
    for (int h = 0; h < kHeads; ++h) dots.head[h] = dots.head[h] * scale;
    if (seen) work.shared.weights[place] = dots;
  }
  block_barrier();
  return piece;
}

// Turns scores into weights; their largest and their sum.
template <int kHeads>
HALFTONE_DEVICE void weigh_split(const Work<kHeads>& work, const Split& split, Attended<kHeads>* to) {
  const int first = split.first - split.begin + static_cast<int>(threadIdx.x), end = split.end - split.begin;
  OfHeads<kHeads> max = each<kHeads>(-HUGE_VALF), sum = each<kHeads>(0);
  for (int place = first; place < end; place += kThreads) {
    const OfHeads<kHeads> scores = work.shared.weights[place];
    HALFTONE_UNROLL
    for (int h = 0; h < kHeads; ++h) max.head[h] = Max::of(max.head[h], scores.head[h]);
  }
  reduce_block<Max>(max.head, work.shared.scratch);
  for (int place = first; place < end; place += kThreads) {
    OfHeads<kHeads> weights = work.shared.weights[place];
    HALFTONE_UNROLL
    for (int h = 0; h < kHeads; ++h) {
      weights.head[h] = exp_ordered<ExpOps>(weights.head[h] - max.head[h]);
      sum.head[h] = sum.head[h] + weights.head[h];
    }
    work.shared.weights[place] = weights;
  }
  reduce_block<Sum>(sum.head, work.shared.scratch);
  to->max = max, to->sum = sum;
}

// The weighted values, from `piece` on.
template <typename Pages, int kHeads>
HALFTONE_DEVICE void add_values(const Work<kHeads>& work, const Split& split, int piece, Attended<kHeads>* to) {
  using Code = typename Pages::Code;
  HALFTONE_UNROLL
  for (int i = 0; i < kDimsOfThread; ++i) to->out[i] = each<kHeads>(0);
  for (int first = split.first_run(); first < split.end; first += kPieceRows<Code>) {
    const Code* values = take_piece<Code>(work, split, piece++);
    const int place = first - split.begin;
    const int from = larger(split.first - first, 0), end = smaller(split.end - first, kPieceRows<Code>);
    HALFTONE_UNROLL
    for (int i = 0; i < kDimsOfThread; ++i) {
      const int d = static_cast<int>(threadIdx.x) + i * kThreads;
      if (d >= work.kv.head_dim) continue;
      OfHeads<kHeads> out = to->out[i];
      in_batches(from, end, [&](int t) {
        const float value = Pages::value(values[t * work.kv.head_dim + d], scale_of<Pages>(work, 1, place + t));
        const OfHeads<kHeads> weights = work.shared.weights[place + t];
        HALFTONE_UNROLL
        for (int h = 0; h < kHeads; ++h) out.head[h] = fma(weights.head[h], value, out.head[h]);
      });
      to->out[i] = out;
    }
  }
}

// One more split for what was merged so far.
HALFTONE_DEVICE float merged(float all, float max, float split, float split_max) {
  const float most = Max::of(max, split_max);
  return fma(split, exp_ordered<ExpOps>(split_max - most), all * exp_ordered<ExpOps>(max - most));
}

template <int kHeads>
HALFTONE_DEVICE void merge(const Attended<kHeads>& split, Attended<kHeads>* all) {
  HALFTONE_UNROLL
  for (int h = 0; h < kHeads; ++h) {
    const float max = all->max.head[h], split_max = split.max.head[h];
    HALFTONE_UNROLL
    for (int i = 0; i < kDimsOfThread; ++i) {
      all->out[i].head[h] = merged(all->out[i].head[h], max, split.out[i].head[h], split_max);
    }
    all->sum.head[h] = merged(all->sum.head[h], max, split.sum.head[h], split_max);
    all->max.head[h] = Max::of(max, split_max);
  }
}

HALFTONE_DEVICE int64_t partial_at(const DeviceAttention& call, int row, int head, int split, int head_dim) {
  return ((static_cast<int64_t>(row) * call.heads + head) * call.splits + split) * (2 + head_dim);
}

// Calls f(h, i, d) for each head and each dimension d of this thread, its i-th.
template <int kHeads, typename F>
HALFTONE_DEVICE void each_output(const Work<kHeads>& work, const F& f) {
  HALFTONE_UNROLL
  for (int h = 0; h < kHeads; ++h) {
    HALFTONE_UNROLL
    for (int i = 0; i < kDimsOfThread; ++i) {
      const int d = static_cast<int>(threadIdx.x) + i * kThreads;
      if (h < work.heads && d < work.kv.head_dim) f(h, i, d);
    }
  }
}

template <int kHeads>
HALFTONE_DEVICE void put_partials(const DeviceAttention& call, const Work<kHeads>& work, int split,
                                  const Attended<kHeads>& one) {
  each_output(work, [&](int h, int i, int d) {
    float* partial = call.partials + partial_at(call, work.row, work.first_head + h, split, work.kv.head_dim);
    if (d == 0) partial[0] = one.max.head[h], partial[1] = one.sum.head[h];
    partial[2 + d] = one.out[i].head[h];
  });
}

HALFTONE_DEVICE int first_visible(int position, int window) {
  return window > 0 && position >= window ? position - window + 1 : 0;
}

struct Token {
  int position, page_begin;
};

template <int kHeads>
HALFTONE_DEVICE Work<kHeads> work_of(const DeviceAttention& call, const DeviceKv& kv, const DeviceBatch& batch,
                                     const Token& token) {
  const int group = call.heads / kv.kv_heads, blocks = (group + kHeads - 1) / kHeads;  // blocks: of a KV head
  const int kv_head = static_cast<int>(blockIdx.y) / blocks, first = static_cast<int>(blockIdx.y) % blocks * kHeads;
  return {kv,
          static_cast<int>(blockIdx.x),
          kv_head,
          kv_head * group + first,
          smaller(kHeads, group - first),
          token.position,
          batch.pages + token.page_begin,
          shared_of<kHeads>(kv.head_dim)};
}

// Grid: (rows, blocks of heads, splits).
template <typename Pages, int kHeads>
HALFTONE_KERNEL void HALFTONE_LAUNCH_BOUNDS(kThreads, 4)
    attention_kernel(DeviceAttention call, DeviceKv kv, DeviceBatch batch) {
  let_next_begin();
  wait_for_earlier();
  const int row = static_cast<int>(blockIdx.x), tokens_left = *batch.tokens - 1 - row;
  const Token token{batch.positions[row], batch.page_begin[row]};
  // No token: then the rest is what an earlier step left. One condition, so that the three readings wait together.
  if ((tokens_left | token.position | token.page_begin) < 0) return;
  const Work<kHeads> work = work_of<kHeads>(call, kv, batch, token);
  const int visible = first_visible(work.position, call.window);
  const int first_split = call.partials != nullptr ? static_cast<int>(blockIdx.z) : visible / kAttentionSplit;
  const int end_split = call.partials != nullptr ? first_split + 1 : work.position / kAttentionSplit + 1;
  Attended<kHeads> all = {};
  for (int i = first_split; i < end_split; ++i) {
    const int begin = i * kAttentionSplit;
    const Split split{begin, larger(begin, visible), smaller(begin + kAttentionSplit, work.position + 1)};
    if (split.first >= split.end) return;  // only where splits are shared: this one is not seen
    begin_split<typename Pages::Code>(work, split);
    if constexpr (Pages::kHasScales) load_scales<Pages>(work, split);
    if (i == first_split) load_queries(call, work);
    Attended<kHeads> one;
    const int pieces = score_split<Pages>(call.scale, work, split);
    weigh_split(work, split, &one);
    add_values<Pages>(work, split, pieces, &one);
    if (i == first_split) {
      all = one;
    } else {
      merge(one, &all);
    }
  }
  if (call.partials != nullptr) return put_partials(call, work, first_split, all);
  uint16_t* y = call.y + work.row * call.y_stride + work.first_head * kv.head_dim;
  each_output(
      work, [&](int h, int i, int d) { y[h * kv.head_dim + d] = bf16_from_f32(all.out[i].head[h] / all.sum.head[h]); });
}

cudaError_t merge_partials(const DeviceAttention& call, const DeviceBatch& batch, int head_dim, cudaStream_t stream);

// Query heads for a block: those that can share what is read, but fewer where that gives the card too few blocks.
int heads_of_block(const DeviceAttention& call, int kv_heads);

template <typename Pages, int kHeads>
cudaError_t attend_by(const DeviceAttention& call, const DeviceKv& kv, const DeviceBatch& batch, cudaStream_t stream) {
  const int blocks = (call.heads / kv.kv_heads + kHeads - 1) / kHeads * kv.kv_heads;
  const int splits = call.partials != nullptr ? call.splits : 1;
  const LaunchShape shape{
      dim3(static_cast<unsigned>(call.rows), static_cast<unsigned>(blocks), static_cast<unsigned>(splits)),
      dim3(kThreads), shared_bytes<kHeads>(kv.head_dim, Pages::kHasScales), stream, true};
  return launch(attention_kernel<Pages, kHeads>, shape, call, kv, batch);
}

template <typename Pages>
cudaError_t attend(const DeviceAttention& call, const DeviceKv& kv, const DeviceBatch& batch, cudaStream_t stream) {
  HALFTONE_CHECK(kv.head_dim <= kMostHeadDim);
  const int heads = heads_of_block(call, kv.kv_heads);
  const auto by = heads == 1 ? attend_by<Pages, 1> : heads == 2 ? attend_by<Pages, 2> : attend_by<Pages, 4>;
  const cudaError_t error = by(call, kv, batch, stream);
  if (error != cudaSuccess || call.partials == nullptr) return error;
  return merge_partials(call, batch, kv.head_dim, stream);
}

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE::attention
