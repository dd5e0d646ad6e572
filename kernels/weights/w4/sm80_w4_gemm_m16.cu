// w4's GEMM with a warp tile of 16 rows by all of the CTA's tokens: for any number of tokens.
#include "kernels/cuda/sm80_gemm.h"
#include "kernels/weights/w4/w4_cuda_codes.h"
#include "kernels/weights/w4/w4_cuda_plan.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {

cudaError_t sm80_w4_gemm_m16(const GemmLaunch& p, const gemm::Plan& plan, cudaStream_t stream) {
  return sm80_gemm_m16<W4MmaCodes>(p, plan, stream);
}

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
