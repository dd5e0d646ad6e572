#include "kernels/cpu/linear_body.h"
#include "kernels/cpu/simd/avx2.h"
#include "kernels/weights/w8/w8_decoder.h"
#include "kernels/weights/w8/w8_kernels.h"

namespace halftone::w8 {

CpuLinearKernels linear_avx2() { return linear_kernels<Avx2, W8Decoder<Avx2>>(); }

}  // namespace halftone::w8
