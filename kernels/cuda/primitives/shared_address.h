// Addresses of shared memory as its instructions take them.
#pragma once

#include <cstdint>

#include "kernels/cuda/dialect.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {

#ifdef __CUDACC__

HALFTONE_DEVICE uint32_t shared_address(const void* shared) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(shared));
}

#endif

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
