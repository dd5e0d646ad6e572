// The RMS norm that stands alone, on CUDA: one that belongs to a product's inputs is part of prepare.h.
#pragma once

#include "kernels/contract/device.h"
#include "kernels/cuda/launch.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {

// x and y: bf16; the weight is float32. Computed in float32 and rounded once, after the addition to y.
cudaError_t norm(const NormCall& call, cudaStream_t stream);

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
