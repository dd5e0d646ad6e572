// Rows of logits reduced on the device, their answers brought to the host, which waits for them. Engine thread
// only.
#pragma once

#include <span>

#include "kernels/contract/device.h"
#include "kernels/cuda/logits.h"
#include "kernels/cuda/staging.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {

class LogitReducer {
 public:
  LogitReducer(Stream& stream, Ledger& ledger)
      : stream_(stream),
        requests_(stream, ledger),
        answers_(stream, ledger),
        edits_(stream, ledger),
        saved_(stream, ledger),
        rank_(stream, ledger) {}

  void reduce(std::span<LogitReduction> rows);
  uint32_t rank(const float* logits, int64_t vocabulary, int32_t id);

 private:
  // Candidates that are still wanted of a row.
  struct Missing {
    int64_t raw = 0, edited = 0;
    Rank raw_below = kAboveAll, edited_below = kAboveAll;
  };

  bool send_edits(std::span<const LogitReduction> rows);
  bool ask(std::span<const LogitReduction> rows, std::span<const Missing> missing);

  Stream& stream_;
  Staging<RowRequest> requests_;
  Staging<RowAnswer> answers_;
  Staging<LogitEdit> edits_;
  Staging<float> saved_;
  Staging<uint32_t> rank_;
};

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
