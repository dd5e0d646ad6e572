#include "kernels/cpu/linear_body.h"
#include "kernels/cpu/simd/emulated.h"
#include "kernels/weights/w4/w4_decoder.h"
#include "kernels/weights/w4/w4_kernels.h"

namespace halftone::w4 {

CpuLinearKernels linear_emulated() { return linear_kernels<Emulated, W4Decoder<Emulated>>(); }

}  // namespace halftone::w4
