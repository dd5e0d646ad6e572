// Barriers among the threads of a block. sm_80.
#pragma once

#include "kernels/cuda/dialect.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {

#ifdef __CUDACC__

HALFTONE_DEVICE void block_barrier(CallSite = CallSite::here()) { __syncthreads(); }

// For `threads` threads, a multiple of 32; id is 1 to 15.
HALFTONE_DEVICE void named_barrier(int id, int threads, CallSite = CallSite::here()) {
  asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

HALFTONE_DEVICE void warp_barrier(CallSite = CallSite::here()) { __syncwarp(); }

// In a loop that waits for memory which others write.
HALFTONE_DEVICE void pause(CallSite = CallSite::here()) { __nanosleep(20); }

#else

HALFTONE_DEVICE void block_barrier(CallSite site = CallSite::here()) { machine::block_barrier(site); }

HALFTONE_DEVICE void named_barrier(int id, int threads, CallSite site = CallSite::here()) {
  machine::named_barrier(id, threads, site);
}

HALFTONE_DEVICE void warp_barrier(CallSite site = CallSite::here()) {
  machine::meet(
      machine::Meeting::kBarrier, nullptr, [](void* const*) {}, site);
}

HALFTONE_DEVICE void pause(CallSite site = CallSite::here()) { machine::pause(site); }

#endif

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
