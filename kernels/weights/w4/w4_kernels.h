// The product kernels of w4, by instruction set.
#pragma once

#include "kernels/cpu/linear.h"

namespace halftone::w4 {

CpuLinearKernels linear_avx2();
CpuLinearKernels linear_emulated();

}  // namespace halftone::w4
