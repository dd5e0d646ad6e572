// What is wanted of rows of logits, on CUDA: sums, ranks and the best candidates, before and after edits.
#pragma once

#include <cstdint>

#include "kernels/contract/device.h"
#include "kernels/cuda/launch.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {

constexpr int kMostCandidates = 256;  // of one call; more are fetched from below the last ones

// Orders logits and, among equal ones, ids: greater is better; 0 is no candidate.
using Rank = uint64_t;
constexpr Rank kAboveAll = ~Rank{0};

struct RowRequest {
  float* logits = nullptr;  // changed by the edits and put back
  int32_t vocabulary = 0, target = -1;
  int32_t edits_begin = 0, edits = 0;
  float inverse_temperature = 1;
  int32_t raw_best = 0, edited_best = 0;                 // at most kMostCandidates
  Rank raw_below = kAboveAll, edited_below = kAboveAll;  // the best ones below these
};

struct RowCandidates {
  int32_t count = 0;
  Rank last = 0;
  LogitCandidate best[kMostCandidates];
};

struct RowAnswer {
  float max = 0, sum = 0;  // sum of exp(logit - max)
  float edited_max = 0, edited_sum = 0;
  float target_logit = 0;
  uint32_t target_rank = 0;
  RowCandidates raw, edited;
};

// All in device memory. saved: a float for each edit.
cudaError_t reduce_rows(const RowRequest* requests, int rows, const LogitEdit* edits, float* saved, RowAnswer* answers,
                        cudaStream_t stream);
// 1 + how many logits are greater than id's.
cudaError_t rank_of(const float* logits, int32_t vocabulary, int32_t id, uint32_t* rank, cudaStream_t stream);

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
