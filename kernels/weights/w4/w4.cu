// w4 on CUDA: its image in the GPU's memory, and the embedding.
#include "kernels/cuda/fragment_format.h"
#include "kernels/weights/w4/w4.h"
#include "kernels/weights/w4/w4_cuda.h"
#include "kernels/weights/w4/w4_cuda_codes.h"
#include "kernels/weights/w4/w4_cuda_plan.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {

const CudaFormat kCudaW4{
    .format = &kW4,
    .block_bytes = fragment_block_bytes<W4MmaCodes>,
    .pack_block = pack_affine_block<W4MmaCodes>,
    .multiply = w4_gemm,
    .embed = embed_by<W4MmaCodes>,
};

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
