// The product kernels of f32, by instruction set.
#pragma once

#include "kernels/cpu/linear.h"

namespace halftone::f32 {

CpuLinearKernels linear_avx2();
CpuLinearKernels linear_emulated();

}  // namespace halftone::f32
