#include "kernels/cpu/linear_a8_body.h"
#include "kernels/cpu/linear_body.h"
#include "kernels/cpu/simd/avx512vnni.h"
#include "kernels/weights/w4/w4_decoder.h"
#include "kernels/weights/w4/w4_kernels.h"
#include "kernels/weights/w4/w4_search_body.h"

namespace halftone::w4 {

constinit const CpuLinearKernels kAvx512Vnni =
    linear_kernels<Avx512Vnni, W4Decoder<Avx512Vnni>>(direct_a8<Avx512Vnni, W4Codes<Avx512Vnni>>);
constinit const GroupSearch kAvx512VnniSearch = {Lanes<64>::kRows, find_grids<Lanes<64>>, round_group<Lanes<64>>};

}  // namespace halftone::w4
