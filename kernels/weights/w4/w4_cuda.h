// The w4 weight format's kernels on CUDA.
#pragma once

#include "kernels/cuda/matrix.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {

extern const CudaFormat kCudaW4;

// Up to w4::kDecodeTokens tokens; any number.
cudaError_t multiply_w4_decode(const Product& product, cudaStream_t stream);
cudaError_t multiply_w4_prefill(const Product& product, cudaStream_t stream);

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
