// An mbarrier: 8 bytes of shared memory that count arrivals and bytes through phases.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cuda_host/place.h"

namespace halftone::cuda_host::machine {

void mbarrier_init(uint64_t* mbarrier, uint32_t arrivals, Place place);
// One arrival, after expecting so many more bytes in this phase.
void mbarrier_arrive(uint64_t* mbarrier, uint32_t more_bytes, Place place);
// Whether the latest phase of that parity is complete; if not, waits for the present one.
bool mbarrier_try_wait(uint64_t* mbarrier, uint32_t parity, Place place);

// Copies to shared memory and takes the bytes off the mbarrier's.
void copy_bulk(void* shared, const void* global, uint32_t bytes, uint64_t* mbarrier, Place place);

}  // namespace halftone::cuda_host::machine
