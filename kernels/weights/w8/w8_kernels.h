// The product kernels of w8, by instruction set.
#pragma once

#include "kernels/cpu/linear.h"

namespace halftone::w8 {

CpuLinearKernels linear_avx2();
CpuLinearKernels linear_emulated();

}  // namespace halftone::w8
