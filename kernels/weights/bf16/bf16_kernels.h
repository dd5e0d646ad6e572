// The product kernels of bf16, by instruction set.
#pragma once

#include "kernels/cpu/linear.h"

namespace halftone::bf16 {

CpuLinearKernels linear_avx2();
CpuLinearKernels linear_emulated();

}  // namespace halftone::bf16
