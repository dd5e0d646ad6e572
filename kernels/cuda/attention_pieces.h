// How keys and values come to a block of attention: in pieces of one split of 256 positions, by asynchronous copies
// into a ring in shared memory, so that kStages - 1 pieces are on their way while one is worked on. First the keys, a
// tile of 128 positions after the other, then the values:
//   keys    [kPieceRows dimensions][128 positions]
//   values  [kPieceRows positions][head_dim]       from a multiple of 16 positions on
#pragma once

#include "kernels/cuda/attention.h"
#include "kernels/cuda/block.h"
#include "kernels/cuda/primitives/copy.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE::attention {

constexpr int kThreads = 128;
constexpr int kStages = 5;
constexpr int kColumnBytes = 64;  // of a piece: one code of each row
constexpr int kCopyBytes = 16;
constexpr int kRun = 16;  // positions that lie in one page together, values one after the other
constexpr int kMostPages = kAttentionSplit / kRun;  // of a split

HALFTONE_HOST_DEVICE int smaller(int a, int b) { return a < b ? a : b; }
HALFTONE_HOST_DEVICE int larger(int a, int b) { return a < b ? b : a; }

template <typename Code>
constexpr int kPieceRows = kColumnBytes / static_cast<int>(sizeof(Code));

// A number for each query head of a block.
template <int kHeads>
struct alignas(kHeads * sizeof(float)) OfHeads {
  float head[kHeads];
};

// Shared memory of a block.
template <int kHeads>
struct Shared {
  std::byte* ring;           // [kStages][stage_bytes]
  const std::byte** pages;   // [kMostPages]: of the split
  OfHeads<kHeads>* q;        // [head_dim]
  OfHeads<kHeads>* weights;  // [kAttentionSplit]: scores, then exp(score - max)
  float* scratch;            // [warps][kHeads]
  float* scales;             // [2][kAttentionSplit]: of keys, then of values; only where the format has them
};

HALFTONE_HOST_DEVICE int stage_bytes(int head_dim) { return kColumnBytes * larger(kThreads, head_dim); }

template <int kHeads>
size_t shared_bytes(int head_dim, bool has_scales) {
  const size_t of_heads = static_cast<size_t>(head_dim) + kAttentionSplit + kThreads / kWarp;
  return kStages * static_cast<size_t>(stage_bytes(head_dim)) + kMostPages * sizeof(std::byte*) +
         of_heads * sizeof(OfHeads<kHeads>) + (has_scales ? 2 * kAttentionSplit * sizeof(float) : 0);
}

template <int kHeads>
HALFTONE_DEVICE Shared<kHeads> shared_of(int head_dim) {
  Shared<kHeads> s;
  s.ring = dynamic_shared<std::byte>();
  s.pages = reinterpret_cast<const std::byte**>(s.ring + kStages * stage_bytes(head_dim));
  s.q = reinterpret_cast<OfHeads<kHeads>*>(s.pages + kMostPages);
  s.weights = s.q + head_dim;
  s.scratch = reinterpret_cast<float*>(s.weights + kAttentionSplit);
  s.scales = s.scratch + kThreads / kWarp * kHeads;
  return s;
}

// What a block does: some query heads of one KV head of one token.
template <int kHeads>
struct Work {
  const DeviceKv& kv;
  int row, kv_head, first_head, heads;  // heads: up to kHeads
  int position;
  const int32_t* pages;  // of the sequence
  Shared<kHeads> shared;
};

// Positions that are seen of one split.
struct Split {
  int begin, first, end;  // begin: the split's own, a multiple of 256

  HALFTONE_DEVICE int first_tile() const { return first - (first - begin) % kThreads; }
  HALFTONE_DEVICE int first_run() const { return first - first % kRun; }
};

template <int kHeads>
HALFTONE_DEVICE const std::byte* page_at(const Work<kHeads>& work, const Split& split, int t) {
  return work.shared.pages[(t - split.begin) >> work.kv.page_shift];
}

// A KV head's keys, then its values, in the page of position t.
template <typename Code, int kHeads>
HALFTONE_DEVICE const Code* codes_at(const Work<kHeads>& work, const Split& split, int t) {
  return reinterpret_cast<const Code*>(page_at(work, split, t) +
                                       static_cast<uint64_t>(work.kv_head) * work.kv.head_bytes);
}

template <typename Code, int kHeads>
HALFTONE_DEVICE void copy_keys(const Work<kHeads>& work, const Split& split, int tile, int first_dim, Code* to) {
  constexpr int kCodes = kCopyBytes / static_cast<int>(sizeof(Code)), kCopies = kThreads / kCodes;
  const DeviceKv& kv = work.kv;
  const int dims = smaller(kPieceRows<Code>, kv.head_dim - first_dim);
  HALFTONE_NO_UNROLL
  for (int i = static_cast<int>(threadIdx.x); i < dims * kCopies; i += kThreads) {
    const int dim = i / kCopies, column = i % kCopies * kCodes, t = tile + column;
    if (t + kCodes <= split.first || t >= split.end) continue;  // there may be no page
    const Code* keys = codes_at<Code>(work, split, t) + (first_dim + dim) * kv.page_tokens;
    cp_async_16(to + dim * kThreads + column, keys + (t & (kv.page_tokens - 1)));
  }
}

template <typename Code, int kHeads>
HALFTONE_DEVICE void copy_values(const Work<kHeads>& work, const Split& split, int first, Code* to) {
  constexpr int kCodes = kCopyBytes / static_cast<int>(sizeof(Code));
  const DeviceKv& kv = work.kv;
  const int end = smaller(split.end, first + kPieceRows<Code>);
  HALFTONE_NO_UNROLL
  for (int t = first; t < end; t += kRun) {
    const Code* values = codes_at<Code>(work, split, t) + (kv.page_tokens + (t & (kv.page_tokens - 1))) * kv.head_dim;
    HALFTONE_NO_UNROLL
    for (int i = static_cast<int>(threadIdx.x) * kCodes; i < kRun * kv.head_dim; i += kThreads * kCodes) {
      cp_async_16(to + (t - first) * kv.head_dim + i, values + i);
    }
  }
}

template <typename Code, int kHeads>
HALFTONE_DEVICE Code* stage_of(const Work<kHeads>& work, int piece) {
  return reinterpret_cast<Code*>(work.shared.ring + piece % kStages * stage_bytes(work.kv.head_dim));
}

// Sends for piece number `piece` of the split, or for nothing behind the last.
template <typename Code, int kHeads>
HALFTONE_DEVICE void copy_piece(const Work<kHeads>& work, const Split& split, int piece) {
  static_assert(kAttentionSplit == 2 * kThreads, "a split has two tiles");
  const int of_tile = (work.kv.head_dim + kPieceRows<Code> - 1) / kPieceRows<Code>, first_tile = split.first_tile();
  const int keys = first_tile + kThreads < split.end ? 2 * of_tile : of_tile;
  Code* const to = stage_of<Code>(work, piece);
  if (piece < keys) {
    const bool is_first = piece < of_tile;
    copy_keys(work, split, is_first ? first_tile : first_tile + kThreads,
              (is_first ? piece : piece - of_tile) * kPieceRows<Code>, to);
  } else {
    copy_values(work, split, split.first_run() + (piece - keys) * kPieceRows<Code>, to);
  }
  cp_async_commit();
}

// Looks up the split's pages and sends for its first pieces. All threads are done with the split before it.
template <typename Code, int kHeads>
HALFTONE_DEVICE void begin_split(const Work<kHeads>& work, const Split& split) {
  const int shift = work.kv.page_shift, page = (split.begin >> shift) + static_cast<int>(threadIdx.x);
  if (page <= (split.end - 1) >> shift) {
    work.shared.pages[threadIdx.x] = work.kv.layer + static_cast<uint64_t>(work.pages[page]) * work.kv.page_bytes;
  }
  block_barrier();
  HALFTONE_NO_UNROLL
  for (int piece = 0; piece < kStages - 1; ++piece) copy_piece<Code>(work, split, piece);
}

// Waits for a piece; then sends for the one that takes the place of the piece before it, with which all are done.
template <typename Code, int kHeads>
HALFTONE_DEVICE const Code* take_piece(const Work<kHeads>& work, const Split& split, int piece) {
  cp_async_wait<kStages - 2>();
  block_barrier();
  copy_piece<Code>(work, split, piece + kStages - 1);
  return stage_of<Code>(work, piece);
}

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE::attention
