// How keys and values of one split (256 positions) reach an attention CTA: a pipeline of cp.async into a ring of
// kStages stages in shared memory, kStages - 1 of them in flight while one is computed on. An iteration fills one
// stage; the keys come first, one tile of 128 positions after the other, then the values:
//   keys    [kStageRows dimensions][128 positions]
//   values  [kStageRows positions][head_dim]       from a multiple of 16 positions on
#pragma once

#include "kernels/cuda/attention.h"
#include "kernels/cuda/cta_reduce.h"
#include "kernels/cuda/primitives/copy.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE::attention {

constexpr int kThreads = 128;
constexpr int kStages = 5;
constexpr int kColumnBytes = 64;  // of a stage: one code of each of its rows
constexpr int kCopyBytes = 16;
constexpr int kRun = 16;                            // positions whose values lie one after the other: all in one page
constexpr int kMostPages = kAttentionSplit / kRun;  // of a split

HALFTONE_HOST_DEVICE int smaller(int a, int b) { return a < b ? a : b; }
HALFTONE_HOST_DEVICE int larger(int a, int b) { return a < b ? b : a; }

template <typename Code>
constexpr int kStageRows = kColumnBytes / static_cast<int>(sizeof(Code));

// A number for each query head of a CTA.
template <int kHeads>
struct alignas(kHeads * sizeof(float)) PerHead {
  float head[kHeads];
};

// The CTA's shared memory.
template <int kHeads>
struct AttentionShared {
  std::byte* ring;           // [kStages][stage_bytes]
  const std::byte** pages;   // [kMostPages]: of the split
  PerHead<kHeads>* q;        // [head_dim]
  PerHead<kHeads>* weights;  // [kAttentionSplit]: scores, then exp(score - max)
  float* scratch;            // [warps][kHeads]
  float* scales;             // [2][kAttentionSplit]: of keys, then of values; only where the format has them
};

HALFTONE_HOST_DEVICE int stage_bytes(int head_dim) { return kColumnBytes * larger(kThreads, head_dim); }

template <int kHeads>
size_t shared_bytes(int head_dim, bool has_scales) {
  const size_t of_heads = static_cast<size_t>(head_dim) + kAttentionSplit + kThreads / kWarp;
  return kStages * static_cast<size_t>(stage_bytes(head_dim)) + kMostPages * sizeof(std::byte*) +
         of_heads * sizeof(PerHead<kHeads>) + (has_scales ? 2 * kAttentionSplit * sizeof(float) : 0);
}

template <int kHeads>
HALFTONE_DEVICE AttentionShared<kHeads> shared_of(int head_dim) {
  AttentionShared<kHeads> s;
  s.ring = dynamic_shared<std::byte>();
  s.pages = reinterpret_cast<const std::byte**>(s.ring + kStages * stage_bytes(head_dim));
  s.q = reinterpret_cast<PerHead<kHeads>*>(s.pages + kMostPages);
  s.weights = s.q + head_dim;
  s.scratch = reinterpret_cast<float*>(s.weights + kAttentionSplit);
  s.scales = s.scratch + kThreads / kWarp * kHeads;
  return s;
}

// What a CTA computes: some query heads of one KV head of one token.
template <int kHeads>
struct AttentionCta {
  const DeviceKv& kv;
  int row, kv_head, first_head, heads;  // heads: up to kHeads
  int position;
  const int32_t* pages;  // of the sequence
  AttentionShared<kHeads> shared;
};

// The positions of one split that the token sees: [first, end).
struct Split {
  int begin, first, end;  // begin: the split's own, a multiple of 256

  HALFTONE_DEVICE int first_tile() const { return first - (first - begin) % kThreads; }
  HALFTONE_DEVICE int first_run() const { return first - first % kRun; }
};

template <int kHeads>
HALFTONE_DEVICE const std::byte* page_at(const AttentionCta<kHeads>& cta, const Split& split, int t) {
  return cta.shared.pages[(t - split.begin) >> cta.kv.page_shift];
}

// A KV head's keys, then its values, in the page of position t.
template <typename Code, int kHeads>
HALFTONE_DEVICE const Code* codes_at(const AttentionCta<kHeads>& cta, const Split& split, int t) {
  return reinterpret_cast<const Code*>(page_at(cta, split, t) + static_cast<uint64_t>(cta.kv_head) * cta.kv.head_bytes);
}

template <typename Code, int kHeads>
HALFTONE_DEVICE void copy_keys(const AttentionCta<kHeads>& cta, const Split& split, int tile, int first_dim, Code* to) {
  constexpr int kCodes = kCopyBytes / static_cast<int>(sizeof(Code)), kCopies = kThreads / kCodes;
  const DeviceKv& kv = cta.kv;
  const int dims = smaller(kStageRows<Code>, kv.head_dim - first_dim);
  HALFTONE_NO_UNROLL
  for (int i = static_cast<int>(threadIdx.x); i < dims * kCopies; i += kThreads) {
    const int dim = i / kCopies, column = i % kCopies * kCodes, t = tile + column;
    if (t + kCodes <= split.first || t >= split.end) continue;  // there may be no page
    const Code* keys = codes_at<Code>(cta, split, t) + (first_dim + dim) * kv.page_tokens;
    cp_async_16(to + dim * kThreads + column, keys + (t & (kv.page_tokens - 1)));
  }
}

template <typename Code, int kHeads>
HALFTONE_DEVICE void copy_values(const AttentionCta<kHeads>& cta, const Split& split, int first, Code* to) {
  constexpr int kCodes = kCopyBytes / static_cast<int>(sizeof(Code));
  const DeviceKv& kv = cta.kv;
  const int end = smaller(split.end, first + kStageRows<Code>);
  HALFTONE_NO_UNROLL
  for (int t = first; t < end; t += kRun) {
    const Code* values = codes_at<Code>(cta, split, t) + (kv.page_tokens + (t & (kv.page_tokens - 1))) * kv.head_dim;
    HALFTONE_NO_UNROLL
    for (int i = static_cast<int>(threadIdx.x) * kCodes; i < kRun * kv.head_dim; i += kThreads * kCodes) {
      cp_async_16(to + (t - first) * kv.head_dim + i, values + i);
    }
  }
}

template <typename Code, int kHeads>
HALFTONE_DEVICE Code* stage_of(const AttentionCta<kHeads>& cta, int iteration) {
  return reinterpret_cast<Code*>(cta.shared.ring + iteration % kStages * stage_bytes(cta.kv.head_dim));
}

// Starts the copies of an iteration of the split; past the last one it only closes an empty group.
template <typename Code, int kHeads>
HALFTONE_DEVICE void issue_copies(const AttentionCta<kHeads>& cta, const Split& split, int iteration) {
  static_assert(kAttentionSplit == 2 * kThreads, "a split has two tiles");
  const int of_tile = (cta.kv.head_dim + kStageRows<Code> - 1) / kStageRows<Code>, first_tile = split.first_tile();
  const int keys = first_tile + kThreads < split.end ? 2 * of_tile : of_tile;
  Code* const to = stage_of<Code>(cta, iteration);
  if (iteration < keys) {
    const bool is_first = iteration < of_tile;
    copy_keys(cta, split, is_first ? first_tile : first_tile + kThreads,
              (is_first ? iteration : iteration - of_tile) * kStageRows<Code>, to);
  } else {
    copy_values(cta, split, split.first_run() + (iteration - keys) * kStageRows<Code>, to);
  }
  cp_async_commit();
}

// Looks up the split's pages and starts its first iterations. All threads must be done with the previous split.
template <typename Code, int kHeads>
HALFTONE_DEVICE void begin_split(const AttentionCta<kHeads>& cta, const Split& split) {
  const int shift = cta.kv.page_shift, page = (split.begin >> shift) + static_cast<int>(threadIdx.x);
  if (page <= (split.end - 1) >> shift) {
    cta.shared.pages[threadIdx.x] = cta.kv.layer + static_cast<uint64_t>(cta.pages[page]) * cta.kv.page_bytes;
  }
  block_barrier();
  HALFTONE_NO_UNROLL
  for (int iteration = 0; iteration < kStages - 1; ++iteration) issue_copies<Code>(cta, split, iteration);
}

// Waits until the iteration's stage is filled, then starts the copies that refill the stage of the previous iteration,
// which all threads are done with after the barrier.
template <typename Code, int kHeads>
HALFTONE_DEVICE const Code* wait_stage(const AttentionCta<kHeads>& cta, const Split& split, int iteration) {
  cp_async_wait<kStages - 2>();
  block_barrier();
  issue_copies<Code>(cta, split, iteration + kStages - 1);
  return stage_of<Code>(cta, iteration);
}

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE::attention
