// The AVX-512 VNNI kernels with every instruction spelled out in older ones by the SIMDe library. Needs AVX2.
#pragma once

#include "kernels/cpu/cpu_body.h"
#include "tests/kernels/cpu/exp_bodies.h"

namespace halftone::test {

CpuBody simde_body();
ExpBodies simde_exp_bodies();

}  // namespace halftone::test
