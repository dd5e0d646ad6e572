// Attention of new tokens to the pages, split over the positions as in Flash-Decoding (Dao et al., 2023): one CTA for
// each token and one, two or four query heads of a KV head and, where there is memory for partial results, each split
// of 256 positions. Keys and values come through attention_pipeline.h.
// Scores: a thread for each position (keys lie [head_dim][tokens] in a page, so that neighbours read neighbours).
// Values: a thread for each dimension. Splits are merged in ascending order by the same arithmetic whether one CTA
// walks them or many CTAs share them, and a head has the same sums whatever shares its CTA, so that a result does not
// depend on the batch. Bound: bytes of the pages, read once for each token and group of heads; for few tokens of short
// sequences, latency: three dependent loads, then the multiply-adds of a split.
#pragma once

#include "kernels/contract/check.h"
#include "kernels/contract/exp.h"
#include "kernels/cuda/attention_pipeline.h"
#include "kernels/cuda/primitives/numbers.h"
#include "kernels/cuda/primitives/pdl.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE::attention {

constexpr int kUnrolled = 8;  // loads that are issued before the first value is needed
constexpr int kDimsOfThread = 2;
constexpr int kMostHeadDim = kDimsOfThread * kThreads;

// The result of one split, or of those merged so far, as each thread holds it: of every head the largest score and the
// sum of the weights, and the weighted values of dimensions threadIdx.x and threadIdx.x + 128.
template <int kHeads>
struct SplitResult {
  PerHead<kHeads> max, sum, out[kDimsOfThread];
};

template <int kHeads>
HALFTONE_DEVICE PerHead<kHeads> each(float value) {
  PerHead<kHeads> all;
  HALFTONE_UNROLL
  for (int h = 0; h < kHeads; ++h) all.head[h] = value;
  return all;
}

// Calls f(first) ... f(end - 1), kUnrolled of them in a row without a branch.
template <typename F>
HALFTONE_DEVICE void unrolled(int first, int end, const F& f) {
  for (; first + kUnrolled <= end; first += kUnrolled) {
    HALFTONE_UNROLL
    for (int i = 0; i < kUnrolled; ++i) f(first + i);
  }
  for (; first < end; ++first) f(first);
}

template <int kHeads>
HALFTONE_DEVICE void load_queries(const DeviceAttention& call, const AttentionCta<kHeads>& cta) {
  const uint16_t* q = call.q + cta.row * call.q_stride + cta.first_head * cta.kv.head_dim;
  for (int d = static_cast<int>(threadIdx.x); d < cta.kv.head_dim; d += kThreads) {
    PerHead<kHeads> all = each<kHeads>(0);
    HALFTONE_UNROLL
    for (int h = 0; h < kHeads; ++h) {
      if (h < cta.heads) all.head[h] = f32_from_bf16(q[h * cta.kv.head_dim + d]);
    }
    cta.shared.q[d] = all;
  }
}

// Into shared.scales.
template <typename Pages, int kHeads>
HALFTONE_DEVICE void load_scales(const AttentionCta<kHeads>& cta, const Split& split) {
  for (int t = split.first + static_cast<int>(threadIdx.x); t < split.end; t += kThreads) {
    const std::byte* page = page_at(cta, split, t);
    const int slot = t & (cta.kv.page_tokens - 1);
    const float key = Pages::scale(page, cta.kv, cta.kv_head, 0, slot);
    const float value = Pages::scale(page, cta.kv, cta.kv_head, 1, slot);
    cta.shared.scales[t - split.begin] = key;
    cta.shared.scales[kAttentionSplit + t - split.begin] = value;
  }
}

template <typename Pages, int kHeads>
HALFTONE_DEVICE float scale_of(const AttentionCta<kHeads>& cta, int is_value, int in_split) {
  if constexpr (Pages::kHasScales) return cta.shared.scales[is_value * kAttentionSplit + in_split];
  return 1;
}

// Writes the split's scores to shared.weights. Returns the number of pipeline iterations that it consumed.
template <typename Pages, int kHeads>
HALFTONE_DEVICE int score_split(const DeviceAttention& call, const AttentionCta<kHeads>& cta, const Split& split) {
  using Code = typename Pages::Code;
  int iteration = 0;
  for (int tile = split.first_tile(); tile < split.end; tile += kThreads) {
    const int t = tile + static_cast<int>(threadIdx.x), in_split = t - split.begin;
    const bool seen = t >= split.first && t < split.end;
    PerHead<kHeads> dots = each<kHeads>(0);
    for (int first = 0; first < cta.kv.head_dim; first += kStageRows<Code>) {
      const Code* keys = wait_stage<Code>(cta, split, iteration++) + threadIdx.x;
      if (!seen) continue;
      const float key_scale = scale_of<Pages>(cta, 0, in_split);
      const PerHead<kHeads>* q = cta.shared.q + first;
      unrolled(0, smaller(kStageRows<Code>, cta.kv.head_dim - first), [&](int d) {
        const float key = Pages::value(keys[d * kThreads], key_scale);
        const PerHead<kHeads> of_dim = q[d];
        HALFTONE_UNROLL
        for (int h = 0; h < kHeads; ++h) dots.head[h] = fma(of_dim.head[h], key, dots.head[h]);
      });
    }
    HALFTONE_UNROLL
    for (int h = 0; h < kHeads; ++h) {
      dots.head[h] = dots.head[h] * call.scale;
      if (call.cap != 0) dots.head[h] = cap_ordered<ExpOps>(dots.head[h], call.cap);
    }
    if (seen) cta.shared.weights[in_split] = dots;
  }
  block_barrier();
  return iteration;
}

// Replaces the scores in shared.weights by exp(score - largest); the largest and the sum go to *to.
template <int kHeads>
HALFTONE_DEVICE void weigh_split(const AttentionCta<kHeads>& cta, const Split& split, SplitResult<kHeads>* to) {
  const int first = split.first - split.begin + static_cast<int>(threadIdx.x), end = split.end - split.begin;
  PerHead<kHeads> max = each<kHeads>(-HUGE_VALF), sum = each<kHeads>(0);
  for (int in_split = first; in_split < end; in_split += kThreads) {
    const PerHead<kHeads> scores = cta.shared.weights[in_split];
    HALFTONE_UNROLL
    for (int h = 0; h < kHeads; ++h) max.head[h] = Max::of(max.head[h], scores.head[h]);
  }
  reduce_cta<Max>(max.head, cta.shared.scratch);
  for (int in_split = first; in_split < end; in_split += kThreads) {
    PerHead<kHeads> weights = cta.shared.weights[in_split];
    HALFTONE_UNROLL
    for (int h = 0; h < kHeads; ++h) {
      weights.head[h] = exp_ordered<ExpOps>(weights.head[h] - max.head[h]);
      sum.head[h] = sum.head[h] + weights.head[h];
    }
    cta.shared.weights[in_split] = weights;
  }
  reduce_cta<Sum>(sum.head, cta.shared.scratch);
  to->max = max, to->sum = sum;
}

// Adds up the weighted values; `iteration` is the first one that holds values.
template <typename Pages, int kHeads>
HALFTONE_DEVICE void add_values(const AttentionCta<kHeads>& cta, const Split& split, int iteration,
                                SplitResult<kHeads>* to) {
  using Code = typename Pages::Code;
  HALFTONE_UNROLL
  for (int i = 0; i < kDimsOfThread; ++i) to->out[i] = each<kHeads>(0);
  for (int first = split.first_run(); first < split.end; first += kStageRows<Code>) {
    const Code* values = wait_stage<Code>(cta, split, iteration++);
    const int in_split = first - split.begin;
    const int from = larger(split.first - first, 0), end = smaller(split.end - first, kStageRows<Code>);
    HALFTONE_UNROLL
    for (int i = 0; i < kDimsOfThread; ++i) {
      const int d = static_cast<int>(threadIdx.x) + i * kThreads;
      if (d >= cta.kv.head_dim) continue;
      PerHead<kHeads> out = to->out[i];
      unrolled(from, end, [&](int t) {
        const float value = Pages::value(values[t * cta.kv.head_dim + d], scale_of<Pages>(cta, 1, in_split + t));
        const PerHead<kHeads> weights = cta.shared.weights[in_split + t];
        HALFTONE_UNROLL
        for (int h = 0; h < kHeads; ++h) out.head[h] = fma(weights.head[h], value, out.head[h]);
      });
      to->out[i] = out;
    }
  }
}

// A sum over the splits merged so far, with one more split's added; both are rescaled to the larger maximum.
HALFTONE_DEVICE float merged(float all, float max, float split, float split_max) {
  const float most = Max::of(max, split_max);
  return fma(split, exp_ordered<ExpOps>(split_max - most), all * exp_ordered<ExpOps>(max - most));
}

template <int kHeads>
HALFTONE_DEVICE void merge(const SplitResult<kHeads>& split, SplitResult<kHeads>* all) {
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

// A sink is a split of one position whose value is 0.
template <int kHeads>
HALFTONE_DEVICE void merge_sinks(const DeviceAttention& call, const AttentionCta<kHeads>& cta,
                                 SplitResult<kHeads>* all) {
  SplitResult<kHeads> sinks = {};
  HALFTONE_UNROLL
  for (int h = 0; h < kHeads; ++h) {
    sinks.max.head[h] = h < cta.heads ? call.sinks[cta.first_head + h] : 0.0f;
    sinks.sum.head[h] = 1;
  }
  merge(sinks, all);
}

HALFTONE_DEVICE int64_t partial_at(const DeviceAttention& call, int row, int head, int split, int head_dim) {
  return ((static_cast<int64_t>(row) * call.heads + head) * call.splits + split) * (2 + head_dim);
}

// Calls f(h, i, d) for each head and each dimension d of this thread, its i-th.
template <int kHeads, typename F>
HALFTONE_DEVICE void each_output(const AttentionCta<kHeads>& cta, const F& f) {
  HALFTONE_UNROLL
  for (int h = 0; h < kHeads; ++h) {
    HALFTONE_UNROLL
    for (int i = 0; i < kDimsOfThread; ++i) {
      const int d = static_cast<int>(threadIdx.x) + i * kThreads;
      if (h < cta.heads && d < cta.kv.head_dim) f(h, i, d);
    }
  }
}

template <int kHeads>
HALFTONE_DEVICE void put_partials(const DeviceAttention& call, const AttentionCta<kHeads>& cta, int split,
                                  const SplitResult<kHeads>& one) {
  each_output(cta, [&](int h, int i, int d) {
    float* partial = call.partials + partial_at(call, cta.row, cta.first_head + h, split, cta.kv.head_dim);
    if (d == 0) partial[0] = one.max.head[h], partial[1] = one.sum.head[h];
    partial[2 + d] = one.out[i].head[h];
  });
}

HALFTONE_DEVICE int first_visible(int position, int window) {
  return window > 0 && position >= window ? position - window + 1 : 0;
}

struct TokenPosition {
  int position, page_begin;
};

template <int kHeads>
HALFTONE_DEVICE AttentionCta<kHeads> cta_of(const DeviceAttention& call, const DeviceKv& kv, const DeviceBatch& batch,
                                            const TokenPosition& token) {
  const int group = call.heads / kv.kv_heads, ctas = (group + kHeads - 1) / kHeads;  // ctas: of a KV head
  const int kv_head = static_cast<int>(blockIdx.y) / ctas, first = static_cast<int>(blockIdx.y) % ctas * kHeads;
  return {kv,
          static_cast<int>(blockIdx.x),
          kv_head,
          kv_head * group + first,
          smaller(kHeads, group - first),
          token.position,
          batch.pages + token.page_begin,
          shared_of<kHeads>(kv.head_dim)};
}

// Grid: (rows, groups of kHeads query heads, splits or 1).
template <typename Pages, int kHeads>
HALFTONE_KERNEL void HALFTONE_LAUNCH_BOUNDS(kThreads, 4)
    attention_kernel(DeviceAttention call, DeviceKv kv, DeviceBatch batch) {
  pdl_trigger();
  pdl_wait();
  const int row = static_cast<int>(blockIdx.x), tokens_left = *batch.tokens - 1 - row;
  const TokenPosition token{batch.positions[row], batch.page_begin[row]};
  // A row without a token: position and page_begin are what an earlier step left. One condition, so that the three
  // loads are waited for together.
  if ((tokens_left | token.position | token.page_begin) < 0) return;
  const AttentionCta<kHeads> cta = cta_of<kHeads>(call, kv, batch, token);
  const int visible = first_visible(cta.position, call.window);
  const int first_split = call.partials != nullptr ? static_cast<int>(blockIdx.z) : visible / kAttentionSplit;
  const int end_split = call.partials != nullptr ? first_split + 1 : cta.position / kAttentionSplit + 1;
  SplitResult<kHeads> all = {};
  for (int i = first_split; i < end_split; ++i) {
    const int begin = i * kAttentionSplit;
    const Split split{begin, larger(begin, visible), smaller(begin + kAttentionSplit, cta.position + 1)};
    if (split.first >= split.end) return;  // only where CTAs share the splits: the token sees nothing of this one
    begin_split<typename Pages::Code>(cta, split);
    if constexpr (Pages::kHasScales) load_scales<Pages>(cta, split);
    if (i == first_split) load_queries(call, cta);
    SplitResult<kHeads> one;
    const int iterations = score_split<Pages>(call, cta, split);
    weigh_split(cta, split, &one);
    add_values<Pages>(cta, split, iterations, &one);
    if (i == first_split) {
      all = one;
    } else {
      merge(one, &all);
    }
  }
  if (call.partials != nullptr) return put_partials(call, cta, first_split, all);
  if (call.sinks != nullptr) merge_sinks(call, cta, &all);
  uint16_t* y = call.y + cta.row * call.y_stride + cta.first_head * kv.head_dim;
  each_output(
      cta, [&](int h, int i, int d) { y[h * kv.head_dim + d] = bf16_from_f32(all.out[i].head[h] / all.sum.head[h]); });
}

cudaError_t merge_partials(const DeviceAttention& call, const DeviceBatch& batch, int head_dim, cudaStream_t stream);

// Query heads that one CTA computes: as many as share a KV head's keys, up to four, but fewer where the GPU would get
// too few CTAs.
int heads_per_cta(const DeviceAttention& call, int kv_heads);

template <typename Pages, int kHeads>
cudaError_t attend_by(const DeviceAttention& call, const DeviceKv& kv, const DeviceBatch& batch, cudaStream_t stream) {
  const int ctas = (call.heads / kv.kv_heads + kHeads - 1) / kHeads * kv.kv_heads;
  const int splits = call.partials != nullptr ? call.splits : 1;
  const LaunchShape shape{
      dim3(static_cast<unsigned>(call.rows), static_cast<unsigned>(ctas), static_cast<unsigned>(splits)),
      dim3(kThreads), shared_bytes<kHeads>(kv.head_dim, Pages::kHasScales), stream, true};
  return launch(attention_kernel<Pages, kHeads>, shape, call, kv, batch);
}

template <typename Pages>
cudaError_t attend(const DeviceAttention& call, const DeviceKv& kv, const DeviceBatch& batch, cudaStream_t stream) {
  HALFTONE_CHECK(kv.head_dim <= kMostHeadDim);
  const int heads = heads_per_cta(call, kv.kv_heads);
  const auto by = heads == 1 ? attend_by<Pages, 1> : heads == 2 ? attend_by<Pages, 2> : attend_by<Pages, 4>;
  const cudaError_t error = by(call, kv, batch, stream);
  if (error != cudaSuccess || call.partials == nullptr) return error;
  return merge_partials(call, batch, kv.head_dim, stream);
}

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE::attention
