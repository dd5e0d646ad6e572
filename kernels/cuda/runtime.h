// The CUDA runtime: the toolkit's under nvcc, otherwise the same names on fibers.
#pragma once

#ifdef __CUDACC__
#include <cuda_runtime.h>
#else
#include "kernels/cuda_host/runtime.h"
#endif
