// The w4 weight format's kernels on CUDA.
#pragma once

#include "kernels/cuda/matrix.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {

extern const CudaFormat kCudaW4;

cudaError_t multiply_w4(const Product& product, cudaStream_t stream);

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
