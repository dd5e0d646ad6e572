// w4's GEMM variants, each in a file of its own, and the choice between them. Names say architecture, format, operation
// and warp tile (rows by tokens); all variants add up an output in the same order.
#pragma once

#include "kernels/cuda/matrix.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {

cudaError_t sm80_w4_gemm_m16(const GemmLaunch& launch, const gemm::Plan& plan, cudaStream_t stream);
cudaError_t sm80_w4_gemm_m32n32(const GemmLaunch& launch, const gemm::Plan& plan, cudaStream_t stream);

inline cudaError_t w4_gemm(const GemmLaunch& p, const gemm::Plan& plan, cudaStream_t stream) {
  return plan.token_blocks > 1 ? sm80_w4_gemm_m32n32(p, plan, stream) : sm80_w4_gemm_m16(p, plan, stream);
}

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
