#include "kernels/cpu/linear_body.h"
#include "kernels/cpu/simd/avx2.h"
#include "kernels/weights/bf16/bf16_decoder.h"
#include "kernels/weights/bf16/bf16_kernels.h"

namespace halftone::bf16 {

constinit const CpuLinearKernels kAvx2 = linear_kernels<Avx2, BF16Decoder<Avx2>>();

}  // namespace halftone::bf16
