// How kernels are written, so that nvcc compiles them for a GPU and g++ and clang for kernels/cuda_host: no triple
// chevrons, no static shared memory, no intrinsics but those of primitives/. All of it lives in namespace
// halftone::HALFTONE_CUDA_NAMESPACE, so that one binary can hold both. Inside a kernel threadIdx, blockIdx, blockDim,
// gridDim and __syncthreads() are what they are.
#pragma once

#include "kernels/cuda/runtime.h"

#ifdef __CUDACC__

#define HALFTONE_CUDA_NAMESPACE cuda
#define HALFTONE_KERNEL __global__
#define HALFTONE_DEVICE __device__ __forceinline__
#define HALFTONE_HOST_DEVICE __host__ __device__ __forceinline__
#define HALFTONE_LAUNCH_BOUNDS(threads, blocks) __launch_bounds__(threads, blocks)
#define HALFTONE_GRID_CONSTANT __grid_constant__
#define HALFTONE_UNROLL _Pragma("unroll")
#define HALFTONE_NO_UNROLL _Pragma("unroll 1")

namespace halftone::cuda {

// Where a primitive is called: the last argument of each, by default, for the reports of kernels/cuda_host. Here it is
// nothing.
struct CallSite {
  __device__ static constexpr CallSite here() { return {}; }
};

template <typename T>
HALFTONE_DEVICE T* dynamic_shared() {
  extern __shared__ __align__(1024) unsigned char halftone_dynamic_shared[];
  return reinterpret_cast<T*>(halftone_dynamic_shared);
}

}  // namespace halftone::cuda

#else

#include "kernels/cuda_host/thread.h"

#define HALFTONE_CUDA_NAMESPACE cuda_host
#define HALFTONE_KERNEL
#define HALFTONE_DEVICE inline
#define HALFTONE_HOST_DEVICE inline
#define HALFTONE_LAUNCH_BOUNDS(threads, blocks)
#define HALFTONE_GRID_CONSTANT
#define HALFTONE_UNROLL
#define HALFTONE_NO_UNROLL

#define threadIdx (::halftone::cuda_host::machine::here->thread)
#define blockIdx (::halftone::cuda_host::machine::here->block)
#define blockDim (::halftone::cuda_host::machine::here->block_size)
#define gridDim (::halftone::cuda_host::machine::here->grid_size)
// NOLINTNEXTLINE(bugprone-reserved-identifier): the name is the language's own.
#define __syncthreads() (::halftone::cuda_host::machine::block_barrier(::halftone::cuda_host::CallSite::here()))

namespace halftone::cuda_host {

// The block's dynamic shared memory, aligned to 1024 bytes.
template <typename T>
T* dynamic_shared() {
  return reinterpret_cast<T*>(machine::here->shared_memory);
}

}  // namespace halftone::cuda_host

#endif
