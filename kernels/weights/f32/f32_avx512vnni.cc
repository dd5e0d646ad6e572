#include "kernels/cpu/linear_body.h"
#include "kernels/cpu/simd/avx512vnni.h"
#include "kernels/weights/f32/f32_decoder.h"
#include "kernels/weights/f32/f32_kernels.h"

namespace halftone::f32 {

constinit const CpuLinearKernels kAvx512Vnni = linear_kernels<Avx512Vnni, F32Decoder<Avx512Vnni>>();

}  // namespace halftone::f32
