#include "kernels/cpu/linear_a8_body.h"
#include "kernels/cpu/linear_body.h"
#include "kernels/cpu/simd/emulated.h"
#include "kernels/weights/w8/w8_decoder.h"
#include "kernels/weights/w8/w8_kernels.h"
#include "kernels/weights/w8/w8_search_body.h"

namespace halftone::w8 {

constinit const CpuLinearKernels kEmulated =
    linear_kernels<Emulated, W8Decoder<Emulated>>(direct_a8<Emulated, W8Codes<Emulated>>);
constinit const GroupSearch kEmulatedSearch = {Lanes<16>::kRows, find_scales<Lanes<16>>, round_group<Lanes<16>>};

}  // namespace halftone::w8
