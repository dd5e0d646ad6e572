#include "kernels/cpu/linear_body.h"
#include "kernels/cpu/simd/emulated.h"
#include "kernels/weights/f32/f32_decoder.h"
#include "kernels/weights/f32/f32_kernels.h"

namespace halftone::f32 {

constinit const CpuLinearKernels kEmulated = linear_kernels<Emulated, F32Decoder<Emulated>>();

}  // namespace halftone::f32
