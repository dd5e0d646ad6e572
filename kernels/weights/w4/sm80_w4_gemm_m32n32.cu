// w4's GEMM for prompts: CTA tile of 64 rows by 64 tokens, warp tile of 32 by 32. An operand that a warp has read from
// shared memory serves twice as many mma as in sm80_w4_gemm_m16.cu: 21 KiB of shared memory reads per k-tile instead of
// 34, which bound that kernel here; in exchange two warps turn the same codes into bf16. The summation order is the
// same.
#include "kernels/cuda/sm80_gemm.h"
#include "kernels/weights/w4/w4_cuda_codes.h"
#include "kernels/weights/w4/w4_cuda_plan.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {

cudaError_t sm80_w4_gemm_m32n32(const GemmLaunch& p, const gemm::Plan& plan, cudaStream_t stream) {
  return launch_sm80_gemm<W4MmaCodes, 8, 2>(p, plan, stream);
}

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
