#include "kernels/cpu/linear_body.h"
#include "kernels/cpu/simd/emulated.h"
#include "kernels/weights/bf16/bf16_decoder.h"
#include "kernels/weights/bf16/bf16_kernels.h"

namespace halftone::bf16 {

constinit const CpuLinearKernels kEmulated = linear_kernels<Emulated, BF16Decoder<Emulated>>();

}  // namespace halftone::bf16
