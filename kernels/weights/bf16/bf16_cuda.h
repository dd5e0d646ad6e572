// The bf16 weight format's kernels on CUDA.
#pragma once

#include "kernels/cuda/matrix.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {

extern const CudaFormat kCudaBf16;

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
