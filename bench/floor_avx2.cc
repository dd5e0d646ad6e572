#include "bench/floor_body.h"
#include "kernels/cpu/simd/avx2.h"

namespace halftone::bench {

FloorLoops floor_loops_avx2() { return {read<Avx2>, multiply_add<Avx2>}; }

}  // namespace halftone::bench
