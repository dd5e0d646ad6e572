// The product kernels of w4, by instruction set.
#pragma once

#include "kernels/cpu/linear.h"

namespace halftone::w4 {

extern const CpuLinearKernels kAvx512Vnni;
extern const CpuLinearKernels kAvx2;
extern const CpuLinearKernels kEmulated;

}  // namespace halftone::w4
