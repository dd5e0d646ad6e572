// An mbarrier: 8 bytes of shared memory that count arrivals and bytes through phases.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cuda_host/call_site.h"

namespace halftone::cuda_host::machine {

void mbarrier_init(uint64_t* mbarrier, uint32_t arrivals, CallSite site);
// One arrival, after expecting `more_bytes` more in this phase.
void mbarrier_arrive(uint64_t* mbarrier, uint32_t more_bytes, CallSite site);
// Whether the latest phase of that parity is complete; if not, waits for the present one.
bool mbarrier_try_wait(uint64_t* mbarrier, uint32_t parity, CallSite site);

// Copies to shared memory and takes the bytes off the mbarrier's.
void copy_bulk(void* shared, const void* global, uint32_t bytes, uint64_t* mbarrier, CallSite site);

}  // namespace halftone::cuda_host::machine
