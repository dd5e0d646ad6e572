#include "kernels/cpu/linear_body.h"
#include "kernels/cpu/simd/avx512vnni.h"
#include "kernels/weights/bf16/bf16_decoder.h"
#include "kernels/weights/bf16/bf16_kernels.h"

namespace halftone::bf16 {

constinit const CpuLinearKernels kAvx512Vnni = linear_kernels<Avx512Vnni, BF16Decoder<Avx512Vnni>>();

}  // namespace halftone::bf16
