#include "kernels/cpu/linear_body.h"
#include "kernels/cpu/simd/avx2.h"
#include "kernels/weights/f32/f32_decoder.h"
#include "kernels/weights/f32/f32_kernels.h"

namespace halftone::f32 {

constinit const CpuLinearKernels kAvx2 = linear_kernels<Avx2, F32Decoder<Avx2>>();

}  // namespace halftone::f32
