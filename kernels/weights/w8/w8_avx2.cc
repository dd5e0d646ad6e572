#include "kernels/cpu/linear_a8_body.h"
#include "kernels/cpu/linear_body.h"
#include "kernels/cpu/simd/avx2.h"
#include "kernels/weights/w8/w8_decoder.h"
#include "kernels/weights/w8/w8_kernels.h"
#include "kernels/weights/w8/w8_search_body.h"

namespace halftone::w8 {

constinit const CpuLinearKernels kAvx2 = linear_kernels<Avx2, W8Decoder<Avx2>>(direct_a8<Avx2, W8Codes<Avx2>>);
// Four floats a vector: with eight, g++ 12 compiles the selects badly and the search is slower than without AVX2.
constinit const GroupSearch kAvx2Search = {Lanes<16>::kRows, find_scales<Lanes<16>>};

}  // namespace halftone::w8
