// Barriers among the threads of a block. sm_80.
#pragma once

#include "kernels/cuda/dialect.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {

#ifdef __CUDACC__

HALFTONE_DEVICE void block_barrier(Place = Place::here()) { __syncthreads(); }

// For `threads` threads, a multiple of 32; id is 1 to 15.
HALFTONE_DEVICE void named_barrier(int id, int threads, Place = Place::here()) {
  asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

HALFTONE_DEVICE void warp_barrier(Place = Place::here()) { __syncwarp(); }

// In a loop that waits for memory which others write.
HALFTONE_DEVICE void pause(Place = Place::here()) { __nanosleep(20); }

#else

HALFTONE_DEVICE void block_barrier(Place place = Place::here()) { machine::block_barrier(place); }

HALFTONE_DEVICE void named_barrier(int id, int threads, Place place = Place::here()) {
  machine::named_barrier(id, threads, place);
}

HALFTONE_DEVICE void warp_barrier(Place place = Place::here()) {
  machine::meet(
      machine::Meeting::kBarrier, nullptr, [](void* const*) {}, place);
}

HALFTONE_DEVICE void pause(Place place = Place::here()) { machine::pause(place); }

#endif

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
