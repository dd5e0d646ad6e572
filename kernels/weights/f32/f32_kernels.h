// The product kernels of f32, by instruction set.
#pragma once

#include "kernels/cpu/linear.h"

namespace halftone::f32 {

extern const CpuLinearKernels kAvx512Vnni;
extern const CpuLinearKernels kAvx2;
extern const CpuLinearKernels kEmulated;

}  // namespace halftone::f32
