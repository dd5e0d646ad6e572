// Barriers in shared memory that count arrivals and bytes through phases, and the bulk copies that report to them.
// For GEMMs that stream weights by bulk copies; kernels do not use them yet. sm_90, but for init and arrive (sm_80).
// Loops wait so: while (!mbarrier_try_wait(barrier, parity)) {}
#pragma once

#include <cstdint>

#include "kernels/cuda/dialect.h"
#include "kernels/cuda/primitives/shared_address.h"

#ifndef __CUDACC__
#include "kernels/cuda_host/mbarrier.h"
#endif

namespace halftone::HALFTONE_CUDA_NAMESPACE {

#ifdef __CUDACC__

// By one thread; the others use it after a barrier.
HALFTONE_DEVICE void mbarrier_init(uint64_t* mbarrier, uint32_t arrivals, CallSite = CallSite::here()) {
  asm volatile("mbarrier.init.shared.b64 [%0], %1;" ::"r"(shared_address(mbarrier)), "r"(arrivals) : "memory");
}

// Makes the init seen by bulk copies.
HALFTONE_DEVICE void mbarrier_init_fence() { asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory"); }

HALFTONE_DEVICE void mbarrier_arrive(uint64_t* mbarrier, CallSite = CallSite::here()) {
  asm volatile("{\n.reg .b64 state;\nmbarrier.arrive.shared.b64 state, [%0];\n}\n" ::"r"(shared_address(mbarrier))
               : "memory");
}

// Arrives, and makes the phase wait for `bytes` more bytes.
HALFTONE_DEVICE void mbarrier_arrive_expect_tx(uint64_t* mbarrier, uint32_t bytes, CallSite = CallSite::here()) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(mbarrier)), "r"(bytes)
               : "memory");
}

// Whether the phase of this parity is complete; may wait a while for it. The first phase has parity 0.
HALFTONE_DEVICE bool mbarrier_try_wait(uint64_t* mbarrier, uint32_t parity, CallSite = CallSite::here()) {
  uint32_t complete;
  asm volatile(
      "{\n"
      ".reg .pred complete;\n"
      "mbarrier.try_wait.parity.shared::cta.b64 complete, [%1], %2;\n"
      "selp.u32 %0, 1, 0, complete;\n"
      "}\n"
      : "=r"(complete)
      : "r"(shared_address(mbarrier)), "r"(parity)
      : "memory");
  return complete != 0;
}

// A multiple of 16 bytes, both ends aligned to 16, counted by the mbarrier; one thread starts it for all.
HALFTONE_DEVICE void copy_bulk(void* shared, const void* global, uint32_t bytes, uint64_t* mbarrier,
                               CallSite = CallSite::here()) {
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(
                   shared_address(shared)),
               "l"(global), "r"(bytes), "r"(shared_address(mbarrier))
               : "memory");
}

#else

HALFTONE_DEVICE void mbarrier_init(uint64_t* mbarrier, uint32_t arrivals, CallSite site = CallSite::here()) {
  machine::mbarrier_init(mbarrier, arrivals, site);
}

HALFTONE_DEVICE void mbarrier_init_fence() {}

HALFTONE_DEVICE void mbarrier_arrive(uint64_t* mbarrier, CallSite site = CallSite::here()) {
  machine::mbarrier_arrive(mbarrier, 0, site);
}

HALFTONE_DEVICE void mbarrier_arrive_expect_tx(uint64_t* mbarrier, uint32_t bytes, CallSite site = CallSite::here()) {
  machine::mbarrier_arrive(mbarrier, bytes, site);
}

HALFTONE_DEVICE bool mbarrier_try_wait(uint64_t* mbarrier, uint32_t parity, CallSite site = CallSite::here()) {
  return machine::mbarrier_try_wait(mbarrier, parity, site);
}

HALFTONE_DEVICE void copy_bulk(void* shared, const void* global, uint32_t bytes, uint64_t* mbarrier,
                               CallSite site = CallSite::here()) {
  machine::copy_bulk(shared, global, bytes, mbarrier, site);
}

#endif

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
