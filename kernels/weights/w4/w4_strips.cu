// w4's product, a strip of 16 rows for each warp: for any number of tokens.
#include "kernels/cuda/product_kernel.h"
#include "kernels/weights/w4/w4_cuda_codes.h"
#include "kernels/weights/w4/w4_cuda_plan.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {

cudaError_t multiply_w4_strips(const Product& p, const product::Plan& plan, cudaStream_t stream) {
  return multiply_strips<W4Codes>(p, plan, stream);
}

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
