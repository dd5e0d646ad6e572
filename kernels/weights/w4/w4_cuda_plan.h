// w4's kernels, each in a file of its own, and which of them multiplies. All of them add up an output in one order.
#pragma once

#include "kernels/cuda/matrix.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {

cudaError_t multiply_w4_strips(const Product& product, const product::Plan& plan, cudaStream_t stream);
cudaError_t multiply_w4_square(const Product& product, const product::Plan& plan, cudaStream_t stream);

inline cudaError_t multiply_w4(const Product& p, const product::Plan& plan, cudaStream_t stream) {
  return plan.token_blocks > 1 ? multiply_w4_square(p, plan, stream) : multiply_w4_strips(p, plan, stream);
}

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
