#include "kernels/cpu/linear_body.h"
#include "kernels/cpu/simd/emulated.h"
#include "kernels/weights/w8/w8_decoder.h"
#include "kernels/weights/w8/w8_kernels.h"

namespace halftone::w8 {

CpuLinearKernels linear_emulated() { return linear_kernels<Emulated, W8Decoder<Emulated>>(); }

}  // namespace halftone::w8
