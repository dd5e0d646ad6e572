// A step's tokens, positions and page tables: gathered into pinned memory, sent by one copy. Engine thread only.
#pragma once

#include "kernels/contract/device.h"
#include "kernels/cuda/batch.h"
#include "kernels/cuda/staging.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {

class BatchMemory {
 public:
  BatchMemory(Stream& stream, Ledger& ledger) : memory_(stream, ledger) {}

  // Returns the rows that the step computes: decodes alone are rounded up to a power of two, so that few graphs serve
  // them all.
  int64_t begin(const StepBatch& batch);

  DeviceBatch device() const;
  // The splits of the longest sequence, rounded up to a power of two.
  int splits() const { return splits_; }
  // Counts up when the memory has moved: graphs that were recorded before are void.
  int generation() const { return generation_; }

 private:
  void write(const StepBatch& batch);

  Staging<int32_t> memory_;  // [4]: tokens; then ids, positions and page_begin of [rows_capacity_]; then pages
  int64_t rows_capacity_ = 0;
  int splits_ = 1, generation_ = 0;
};

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
