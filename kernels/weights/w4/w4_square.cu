// w4's product for prompts: 64 rows by 64 tokens, each warp two strips by half of the tokens. An operand that a warp
// has read serves twice as many products of the other one: a tile takes 21 KiB of reading from shared memory in the
// place of 34, what bounds the strips there, and the codes of a strip become bf16 twice. Adds up as w4_strips.cu does.
#include "kernels/cuda/product_kernel.h"
#include "kernels/weights/w4/w4_cuda_codes.h"
#include "kernels/weights/w4/w4_cuda_plan.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {

cudaError_t multiply_w4_square(const Product& p, const product::Plan& plan, cudaStream_t stream) {
  return launch_product<W4Codes, 8, 2>(p, plan, stream);
}

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
