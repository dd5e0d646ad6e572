// launch(kernel, shape, arguments...): what triple chevrons do, for nvcc and for kernels/cuda_host.
#pragma once

#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>

#include "kernels/cuda/dialect.h"

#ifndef __CUDACC__
#include "kernels/cuda_host/launch.h"
#endif

namespace halftone::HALFTONE_CUDA_NAMESPACE {

struct LaunchShape {
  dim3 grid, block;
  size_t shared_bytes = 0;  // dynamic
  cudaStream_t stream = nullptr;
  bool pdl = false;  // the kernel calls pdl_wait() (primitives/overlap.h)
};

#ifdef __CUDACC__
inline bool pdl_supported() {
  static const bool kCan = [] {
    int device = 0, major = 0;
    return cudaGetDevice(&device) == cudaSuccess &&
           cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device) == cudaSuccess && major >= 9;
  }();
  return kCan;
}
#endif

// Arguments are converted to the kernel's parameters and copied now.
template <typename... Parameters, typename... Arguments>
cudaError_t launch(void (*kernel)(Parameters...), const LaunchShape& shape, Arguments&&... arguments) {
  static_assert((std::is_trivially_copyable_v<Parameters> && ...), "parameters are copied to the device as bytes");
  // NOLINTNEXTLINE(bugprone-sizeof-expression): pointers are parameters, too.
  static_assert((sizeof(Parameters) + ... + 0) <= 4096, "a kernel takes 4 KiB of parameters");
#ifdef __CUDACC__
  constexpr size_t kSharedBytesWithoutAsking = 48 * 1024;
  if (shape.shared_bytes > kSharedBytesWithoutAsking) {
    cudaError_t error =
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shape.shared_bytes));
    if (error != cudaSuccess) return error;
  }
  cudaLaunchConfig_t config = {};
  config.gridDim = shape.grid;
  config.blockDim = shape.block;
  config.dynamicSmemBytes = shape.shared_bytes;
  config.stream = shape.stream;
  cudaLaunchAttribute overlap = {};
  overlap.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  overlap.val.programmaticStreamSerializationAllowed = 1;
  config.attrs = &overlap;
  config.numAttrs = shape.pdl && pdl_supported() ? 1 : 0;
  return cudaLaunchKernelEx(&config, kernel, std::forward<Arguments>(arguments)...);
#else
  auto body = [kernel, parameters = std::tuple<std::remove_cv_t<Parameters>...>(
                           std::forward<Arguments>(arguments)...)] { std::apply(kernel, parameters); };
  return machine::launch(shape.grid, shape.block, shape.shared_bytes, std::move(body), shape.stream);
#endif
}

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
