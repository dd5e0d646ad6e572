// The product kernels of bf16, by instruction set.
#pragma once

#include "kernels/cpu/linear.h"

namespace halftone::bf16 {

extern const CpuLinearKernels kAvx512Vnni;
extern const CpuLinearKernels kAvx2;
extern const CpuLinearKernels kEmulated;

}  // namespace halftone::bf16
