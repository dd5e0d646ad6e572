// The w4 weight format's kernels on CUDA.
#pragma once

#include "kernels/cuda/matrix.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {

extern const CudaFormat kCudaW4;

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
