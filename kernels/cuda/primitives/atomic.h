// Counters that threads share: integers only, so that no order matters. sm_80.
#pragma once

#include <cstdint>

#include "kernels/cuda/dialect.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {

#ifdef __CUDACC__

// In shared memory; returns what was there.
HALFTONE_DEVICE int32_t shared_add(int32_t* shared, int32_t value, CallSite = CallSite::here()) {
  return atomicAdd(shared, value);
}
HALFTONE_DEVICE void global_add(int32_t* global, int32_t value, CallSite = CallSite::here()) {
  atomicAdd(global, value);
}

#else

HALFTONE_DEVICE int32_t shared_add(int32_t* shared, int32_t value, CallSite site = CallSite::here()) {
  machine::access_shared(shared, sizeof value, site);
  const int32_t before = *shared;
  *shared = before + value;
  return before;
}
HALFTONE_DEVICE void global_add(int32_t* global, int32_t value, CallSite site = CallSite::here()) {
  machine::expect_global(global, sizeof value, site);
  *global += value;
}

#endif

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
