// Asynchronous copies from global to shared memory. A thread waits for its own copies and sees them then; others see
// them after a barrier that follows. sm_80.
#pragma once

#include "kernels/cuda/dialect.h"
#include "kernels/cuda/primitives/shared_address.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {

#ifdef __CUDACC__

// 16 bytes, past the L1 cache; zeros where not valid, and then `global` is not read.
HALFTONE_DEVICE void cp_async_16(void* shared, const void* global, bool valid = true, CallSite = CallSite::here()) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(shared)), "l"(global),
               "r"(valid ? 16 : 0)
               : "memory");
}

// Closes a group: the copies since the last one.
HALFTONE_DEVICE void cp_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Until all groups but the latest kGroupsLeft are there.
template <int kGroupsLeft>
HALFTONE_DEVICE void cp_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kGroupsLeft) : "memory");
}

#else

HALFTONE_DEVICE void cp_async_16(void* shared, const void* global, bool valid = true,
                                 CallSite site = CallSite::here()) {
  machine::copy_async(shared, global, 16, valid, site);
}

HALFTONE_DEVICE void cp_async_commit() { machine::copy_async_commit(); }

template <int kGroupsLeft>
HALFTONE_DEVICE void cp_async_wait() {
  machine::copy_async_wait(kGroupsLeft);
}

#endif

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
