// exp, silu, tanh and GELU of sixteen lanes as each vector body computes them: in files of their own for the
// instruction sets' sake.
#pragma once

#include <cstdint>

namespace halftone::test {

// count is a multiple of 16.
using LaneFunction = void (*)(const float* x, int64_t count, float* y);

struct ExpBodies {
  LaneFunction exp, silu, tanh, gelu;
};

ExpBodies exp_bodies_avx512vnni();
ExpBodies exp_bodies_avx2();
ExpBodies exp_bodies_emulated();

}  // namespace halftone::test
