#include "bench/floor_body.h"
#include "kernels/cpu/simd/emulated.h"

namespace halftone::bench {

FloorLoops floor_loops_emulated() { return {read<Emulated>, multiply_add<Emulated>}; }

}  // namespace halftone::bench
