// Loads and stores that say how: wide ones of global memory, counted ones of shared memory, and what CTAs need to hand
// results to each other, as the last-arriving CTA does that adds up split-K partials (kernels do not use those yet).
// sm_80.
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/cuda/dialect.h"
#include "kernels/cuda/primitives/shared_address.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {

struct alignas(16) Bytes16 {
  uint32_t x, y, z, w;
};

struct alignas(8) Bytes8 {
  uint32_t x, y;
};

#ifdef __CUDACC__

// Global memory, 16 bytes, aligned to them.
HALFTONE_DEVICE Bytes16 load_16(const void* global, CallSite = CallSite::here()) {
  Bytes16 value;
  asm volatile("ld.global.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(value.x), "=r"(value.y), "=r"(value.z), "=r"(value.w)
               : "l"(global)
               : "memory");
  return value;
}

// What is read exactly once and written by no one during the kernel, as weights: it stays out of the L1 cache and
// leaves the L2 cache first.
HALFTONE_DEVICE Bytes16 load_16_once(const void* global, CallSite = CallSite::here()) {
  Bytes16 value;
  asm("{\n"
      ".reg .b64 policy;\n"
      "createpolicy.fractional.L2::evict_first.b64 policy, 1.0;\n"
      "ld.global.nc.L1::no_allocate.L2::cache_hint.v4.u32 {%0, %1, %2, %3}, [%4], policy;\n"
      "}\n"
      : "=r"(value.x), "=r"(value.y), "=r"(value.z), "=r"(value.w)
      : "l"(global));
  return value;
}

HALFTONE_DEVICE void store_16(void* global, const Bytes16& value, CallSite = CallSite::here()) {
  asm volatile("st.global.v4.u32 [%0], {%1, %2, %3, %4};" ::"l"(global), "r"(value.x), "r"(value.y), "r"(value.z),
               "r"(value.w)
               : "memory");
}

// Shared memory; T has 4, 8 or 16 bytes.
template <typename T>
HALFTONE_DEVICE T load_shared(const T* shared, CallSite = CallSite::here()) {
  return *shared;
}

template <typename T>
HALFTONE_DEVICE void store_shared(T* shared, const T& value, CallSite = CallSite::here()) {
  *shared = value;
}

// All writes before it are seen by other blocks before those after it.
HALFTONE_DEVICE void device_fence() { __threadfence(); }

// Returns what was there.
HALFTONE_DEVICE uint32_t atomic_add(uint32_t* global, uint32_t value, CallSite = CallSite::here()) {
  return atomicAdd(global, value);
}

// What follows sees what was written before the value that it reads was stored by store_release.
HALFTONE_DEVICE uint32_t load_acquire(const uint32_t* global, CallSite = CallSite::here()) {
  uint32_t value;
  asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(value) : "l"(global) : "memory");
  return value;
}

HALFTONE_DEVICE void store_release(uint32_t* global, uint32_t value, CallSite = CallSite::here()) {
  asm volatile("st.release.gpu.global.u32 [%0], %1;" ::"l"(global), "r"(value) : "memory");
}

#else

HALFTONE_DEVICE Bytes16 load_16(const void* global, CallSite site = CallSite::here()) {
  machine::read_global(global, sizeof(Bytes16), site);
  Bytes16 value;
  std::memcpy(&value, global, sizeof value);
  return value;
}

HALFTONE_DEVICE Bytes16 load_16_once(const void* global, CallSite site = CallSite::here()) {
  return load_16(global, site);
}

HALFTONE_DEVICE void store_16(void* global, const Bytes16& value, CallSite site = CallSite::here()) {
  machine::write_global(global, sizeof value, site);
  std::memcpy(global, &value, sizeof value);
}

template <typename T>
HALFTONE_DEVICE T load_shared(const T* shared, CallSite site = CallSite::here()) {
  machine::access_shared(shared, sizeof(T), site);
  return *shared;
}

template <typename T>
HALFTONE_DEVICE void store_shared(T* shared, const T& value, CallSite site = CallSite::here()) {
  machine::access_shared(shared, sizeof(T), site);
  *shared = value;
}

HALFTONE_DEVICE void device_fence() {}

HALFTONE_DEVICE uint32_t atomic_add(uint32_t* global, uint32_t value, CallSite site = CallSite::here()) {
  machine::expect_global(global, sizeof value, site);
  const uint32_t before = *global;
  *global = before + value;
  return before;
}

HALFTONE_DEVICE uint32_t load_acquire(const uint32_t* global, CallSite site = CallSite::here()) {
  machine::expect_global(global, sizeof *global, site);
  return *global;
}

HALFTONE_DEVICE void store_release(uint32_t* global, uint32_t value, CallSite site = CallSite::here()) {
  machine::expect_global(global, sizeof value, site);
  *global = value;
}

#endif

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
