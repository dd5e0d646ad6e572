#include "kernels/cpu/linear_body.h"
#include "kernels/cpu/simd/avx2.h"
#include "kernels/weights/w4/w4_decoder.h"
#include "kernels/weights/w4/w4_kernels.h"

namespace halftone::w4 {

CpuLinearKernels linear_avx2() { return linear_kernels<Avx2, W4Decoder<Avx2>>(); }

}  // namespace halftone::w4
