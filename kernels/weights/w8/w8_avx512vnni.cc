#include "kernels/cpu/linear_a8_body.h"
#include "kernels/cpu/linear_body.h"
#include "kernels/cpu/simd/avx512vnni.h"
#include "kernels/weights/w8/w8_decoder.h"
#include "kernels/weights/w8/w8_kernels.h"
#include "kernels/weights/w8/w8_search_body.h"

namespace halftone::w8 {

constinit const CpuLinearKernels kAvx512Vnni =
    linear_kernels<Avx512Vnni, W8Decoder<Avx512Vnni>>(direct_a8<Avx512Vnni, W8Codes<Avx512Vnni>>);
constinit const GroupSearch kAvx512VnniSearch = {Lanes<64>::kRows, find_scales<Lanes<64>>, round_group<Lanes<64>>};

}  // namespace halftone::w8
