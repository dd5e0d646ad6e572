#include "kernels/cpu/linear_a8_body.h"
#include "kernels/cpu/linear_body.h"
#include "kernels/cpu/simd/avx2.h"
#include "kernels/weights/w8/w8_decoder.h"
#include "kernels/weights/w8/w8_kernels.h"
#include "kernels/weights/w8/w8_search_body.h"

namespace halftone::w8 {

constinit const CpuLinearKernels kAvx2 = linear_kernels<Avx2, W8Decoder<Avx2>>(direct_a8<Avx2, W8Codes<Avx2>>);
constinit const GroupSearch kAvx2Search = {Lanes<32>::kRows, find_scales<Lanes<32>>, round_group<Lanes<32>>};

}  // namespace halftone::w8
