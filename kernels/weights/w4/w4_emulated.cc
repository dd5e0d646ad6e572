#include "kernels/cpu/linear_a8_body.h"
#include "kernels/cpu/linear_body.h"
#include "kernels/cpu/simd/emulated.h"
#include "kernels/weights/w4/w4_decoder.h"
#include "kernels/weights/w4/w4_kernels.h"
#include "kernels/weights/w4/w4_search_body.h"

namespace halftone::w4 {

constinit const CpuLinearKernels kEmulated =
    linear_kernels<Emulated, W4Decoder<Emulated>>(direct_a8<Emulated, W4Codes<Emulated>>);
constinit const GroupSearch kEmulatedSearch = {Lanes<16>::kRows, find_grids<Lanes<16>>, round_group<Lanes<16>>};

}  // namespace halftone::w4
