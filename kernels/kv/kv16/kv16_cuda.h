// The kv16 format's kernels on CUDA.
#pragma once

#include "kernels/cuda/kv.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {

extern const CudaKvFormat kCudaKv16;

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
