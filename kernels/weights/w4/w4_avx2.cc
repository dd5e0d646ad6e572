#include "kernels/cpu/linear_a8_body.h"
#include "kernels/cpu/linear_body.h"
#include "kernels/cpu/simd/avx2.h"
#include "kernels/weights/w4/w4_decoder.h"
#include "kernels/weights/w4/w4_kernels.h"
#include "kernels/weights/w4/w4_search_body.h"

namespace halftone::w4 {

constinit const CpuLinearKernels kAvx2 = linear_kernels<Avx2, W4Decoder<Avx2>>(direct_a8<Avx2, W4Codes<Avx2>>);
// Four floats a vector: with eight, g++ 12 compiles the selects badly and the search is slower than without AVX2.
constinit const GroupSearch kAvx2Search = {Lanes<16>::kRows, find_grids<Lanes<16>>};

}  // namespace halftone::w4
