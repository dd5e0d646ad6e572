// Routing and experts on CUDA. The choice is downloaded and the rows of each expert go through linear(), so a step that
// calls it waits for the device and cannot be recorded as a graph.
#pragma once

#include "kernels/contract/experts.h"
#include "kernels/cuda/linear.h"
#include "kernels/cuda/staging.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {

// tokens: how many of the rows are tokens, in device memory.
cudaError_t route(const RouteCall& call, const int32_t* tokens, cudaStream_t stream);

class ExpertRunner {
 public:
  ExpertRunner(Stream& stream, Ledger& ledger) : stream_(stream), chosen_(stream, ledger), places_(stream, ledger) {}

  // Returns how many experts were read.
  int64_t run(const ExpertsCall& call, const Workspace& workspace, int sm_count);

 private:
  bool download_choice(const ExpertsCall& call);
  void gather(const ExpertsCall& call, const ExpertGroups& groups);

  Stream& stream_;
  Staging<int32_t> chosen_, places_;
};

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
