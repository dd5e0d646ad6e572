// A CTA for each row. Candidates are found by their rank, a number of 64 bits in which the logit comes first and then
// the id, so that no two are equal: eight passes of 256 counters find the least rank that belongs to the best (radix
// selection), one more collects them, a bitonic network sorts them. Bound: a dozen readings of the row from L2.
#include "kernels/cuda/logits.h"

#include "kernels/contract/exp.h"
#include "kernels/cuda/cta_reduce.h"
#include "kernels/cuda/primitives/atomic.h"
#include "kernels/cuda/primitives/numbers.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {
namespace {

constexpr int kThreads = 256;
constexpr int kDigitBits = 8, kDigits = 1 << kDigitBits;
static_assert(kDigits == kThreads && kMostCandidates == kThreads);

struct ReduceShared {
  Rank ranks[kMostCandidates];
  float scratch[kThreads / kWarp];
  int32_t counters[kDigits];
  int32_t collected;
  int32_t left;  // of the wanted ones, in the digit that is looked at
  Rank prefix;
};

HALFTONE_DEVICE Rank rank_of(float logit, int id) {
  const uint32_t bits = bits_from_f32(logit + 0.0f);  // -0 becomes +0
  const uint32_t ordered = bits >> 31 != 0 ? ~bits : bits | 0x80000000u;
  return static_cast<Rank>(ordered) << 32 | (0xffffffffu - static_cast<uint32_t>(id));
}
HALFTONE_DEVICE int id_of(Rank rank) { return static_cast<int>(0xffffffffu - static_cast<uint32_t>(rank)); }
HALFTONE_DEVICE float logit_of(Rank rank) {
  const uint32_t ordered = static_cast<uint32_t>(rank >> 32);
  return f32_from_bits(ordered >> 31 != 0 ? ordered & 0x7fffffffu : ~ordered);
}

// The edits of a row, or none.
struct Edits {
  const LogitEdit* list;
  const float* saved;
  int count;

  // The id's index in the list, or -1.
  HALFTONE_DEVICE int find(int id) const {
    int low = 0, high = count;
    while (low < high) {
      const int middle = (low + high) / 2;
      if (list[middle].id < id) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low < count && list[low].id == id ? low : -1;
  }
};

// 0: no candidate. A raw -infinity is none; an edit to -infinity is one.
HALFTONE_DEVICE Rank candidate(const RowRequest& row, const Edits& edits, int id, Rank below) {
  const float logit = row.logits[id];
  if (logit == -HUGE_VALF && edits.find(id) < 0) return 0;
  const Rank rank = rank_of(logit, id);
  return rank < below ? rank : 0;
}

// One pass: of the ranks that begin with shared.prefix, which next digit holds the last of the wanted ones?
HALFTONE_DEVICE void next_digit(const RowRequest& row, const Edits& edits, Rank below, int shift,
                                ReduceShared* shared) {
  shared->counters[threadIdx.x] = 0;
  block_barrier();
  const Rank prefix = shared->prefix;
  for (int id = static_cast<int>(threadIdx.x); id < row.vocabulary; id += kThreads) {
    const Rank rank = candidate(row, edits, id, below);
    const bool same = shift + kDigitBits == 64 || rank >> (shift + kDigitBits) == prefix >> (shift + kDigitBits);
    if (rank != 0 && same) shared_add(&shared->counters[rank >> shift & (kDigits - 1)], 1);
  }
  block_barrier();
  if (threadIdx.x == 0) {
    int digit = kDigits - 1;
    while (digit > 0 && shared->counters[digit] < shared->left) shared->left -= shared->counters[digit--];
    shared->prefix = prefix | static_cast<Rank>(digit) << shift;
  }
  block_barrier();
}

// Descending.
HALFTONE_DEVICE void sort_ranks(Rank* ranks) {
  const unsigned i = threadIdx.x;
  for (unsigned size = 2; size <= kMostCandidates; size *= 2) {
    for (unsigned stride = size / 2; stride > 0; stride /= 2) {
      const unsigned other = i ^ stride;
      if (other > i) {
        const Rank a = ranks[i], b = ranks[other];
        const bool descending = (i & size) == 0;
        if ((a < b) == descending) ranks[i] = b, ranks[other] = a;
      }
      block_barrier();
    }
  }
}

HALFTONE_DEVICE void find_best(const RowRequest& row, const Edits& edits, int wanted, Rank below, ReduceShared* shared,
                               RowCandidates* out) {
  if (threadIdx.x == 0) shared->prefix = 0, shared->left = wanted, shared->collected = 0;
  shared->ranks[threadIdx.x] = 0;
  block_barrier();
  for (int shift = 64 - kDigitBits; shift >= 0; shift -= kDigitBits) next_digit(row, edits, below, shift, shared);
  // With fewer candidates than wanted the prefix is less than all of them.
  const Rank least = shared->prefix;
  for (int id = static_cast<int>(threadIdx.x); id < row.vocabulary; id += kThreads) {
    const Rank rank = candidate(row, edits, id, below);
    if (rank == 0 || rank < least) continue;
    const int at = shared_add(&shared->collected, 1);
    if (at < wanted) shared->ranks[at] = rank;
  }
  block_barrier();
  sort_ranks(shared->ranks);
  const int count = shared->collected < wanted ? shared->collected : wanted;
  const int i = static_cast<int>(threadIdx.x);
  if (i < count) {
    const Rank rank = shared->ranks[i];
    const int id = id_of(rank), edit = edits.find(id);
    out->best[i] = {id, logit_of(rank), edit < 0 ? row.logits[id] : edits.saved[edit]};
  }
  if (i == 0) out->count = count, out->last = count > 0 ? shared->ranks[count - 1] : 0;
  block_barrier();
}

// The largest of scale * logit, and the sum of exp(scale * logit - largest).
HALFTONE_DEVICE void sum_row(const RowRequest& row, float scale, ReduceShared* shared, float* max, float* sum) {
  float largest = -HUGE_VALF, all = 0;
  bool nan = false;
  for (int id = static_cast<int>(threadIdx.x); id < row.vocabulary; id += kThreads) {
    const float value = row.logits[id] * scale;
    nan = nan || value != value;
    largest = Max::of(largest, value);
  }
  largest = reduce_cta<Max>(largest, shared->scratch);
  for (int id = static_cast<int>(threadIdx.x); id < row.vocabulary; id += kThreads) {
    all = all + exp_ordered<ExpOps>(row.logits[id] * scale - largest);
  }
  all = reduce_cta<Sum>(nan ? NAN : all, shared->scratch);
  if (threadIdx.x == 0) *max = largest, *sum = all;
}

HALFTONE_DEVICE uint32_t count_greater(const float* logits, int vocabulary, float logit, int32_t* counter) {
  if (threadIdx.x == 0) *counter = 0;
  block_barrier();
  int greater = 0;
  for (int id = static_cast<int>(threadIdx.x); id < vocabulary; id += kThreads) greater += logits[id] > logit ? 1 : 0;
  shared_add(counter, greater);
  block_barrier();
  return static_cast<uint32_t>(*counter);
}

HALFTONE_KERNEL void HALFTONE_LAUNCH_BOUNDS(kThreads, 2)
    reduce_kernel(const RowRequest* requests, const LogitEdit* all_edits, float* all_saved, RowAnswer* answers) {
  ReduceShared* shared = dynamic_shared<ReduceShared>();
  const RowRequest row = requests[blockIdx.x];
  RowAnswer* answer = answers + blockIdx.x;
  sum_row(row, 1.0f, shared, &answer->max, &answer->sum);
  if (row.raw_best > 0) find_best(row, {nullptr, nullptr, 0}, row.raw_best, row.raw_below, shared, &answer->raw);
  if (row.target >= 0) {
    const float logit = row.logits[row.target];
    const uint32_t greater = count_greater(row.logits, row.vocabulary, logit, &shared->collected);
    if (threadIdx.x == 0) answer->target_logit = logit, answer->target_rank = 1 + greater;
  }
  if (row.edited_best == 0) return;
  const LogitEdit* edits = all_edits + row.edits_begin;
  float* saved = all_saved + row.edits_begin;
  for (int i = static_cast<int>(threadIdx.x); i < row.edits; i += kThreads) {
    saved[i] = row.logits[edits[i].id];
    row.logits[edits[i].id] = edits[i].apply(saved[i]);
  }
  block_barrier();
  sum_row(row, row.inverse_temperature, shared, &answer->edited_max, &answer->edited_sum);
  find_best(row, {edits, saved, row.edits}, row.edited_best, row.edited_below, shared, &answer->edited);
  for (int i = static_cast<int>(threadIdx.x); i < row.edits; i += kThreads) row.logits[edits[i].id] = saved[i];
}

HALFTONE_KERNEL void HALFTONE_LAUNCH_BOUNDS(kThreads, 2)
    rank_kernel(const float* logits, int32_t vocabulary, int32_t id, uint32_t* rank) {
  ReduceShared* shared = dynamic_shared<ReduceShared>();
  const uint32_t greater = count_greater(logits, vocabulary, logits[id], &shared->collected);
  if (threadIdx.x == 0) *rank = 1 + greater;
}

}  // namespace

cudaError_t reduce_rows(const RowRequest* requests, int rows, const LogitEdit* edits, float* saved, RowAnswer* answers,
                        cudaStream_t stream) {
  const LaunchShape shape{dim3(static_cast<unsigned>(rows)), dim3(kThreads), sizeof(ReduceShared), stream};
  return launch(reduce_kernel, shape, requests, edits, saved, answers);
}

cudaError_t rank_of(const float* logits, int32_t vocabulary, int32_t id, uint32_t* rank, cudaStream_t stream) {
  const LaunchShape shape{dim3(1), dim3(kThreads), sizeof(ReduceShared), stream};
  return launch(rank_kernel, shape, logits, vocabulary, id, rank);
}

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
