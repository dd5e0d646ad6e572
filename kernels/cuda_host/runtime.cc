#include "kernels/cuda_host/runtime.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <iterator>
#include <utility>

#include "kernels/cuda_host/device_memory.h"
#include "kernels/cuda_host/machine.h"
#include "kernels/cuda_host/runtime_state.h"

using namespace halftone::cuda_host::machine;

namespace {

struct ErrorName {
  cudaError_t error;
  const char* name;
};
constexpr ErrorName kErrors[] = {
    {cudaSuccess, "cudaSuccess"},
    {cudaErrorInvalidValue, "cudaErrorInvalidValue"},
    {cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation"},
    {cudaErrorInvalidConfiguration, "cudaErrorInvalidConfiguration"},
    {cudaErrorInsufficientDriver, "cudaErrorInsufficientDriver"},
    {cudaErrorNoDevice, "cudaErrorNoDevice"},
    {cudaErrorInvalidDevice, "cudaErrorInvalidDevice"},
    {cudaErrorInvalidResourceHandle, "cudaErrorInvalidResourceHandle"},
    {cudaErrorNotReady, "cudaErrorNotReady"},
    {cudaErrorLaunchFailure, "cudaErrorLaunchFailure"},
    {cudaErrorStreamCaptureUnsupported, "cudaErrorStreamCaptureUnsupported"},
    {cudaErrorStreamCaptureImplicit, "cudaErrorStreamCaptureImplicit"},
};

DeviceMemory& memory() { return DeviceMemory::instance(); }

cudaError_t allocate(void** result, size_t bytes, DeviceMemory::Where where) {
  const Locked state;
  if (state->capturing()) return state->answer(cudaErrorStreamCaptureUnsupported);
  if (state->answer(cudaSuccess) != cudaSuccess) return cudaErrorLaunchFailure;
  *result = bytes == 0 ? nullptr : memory().allocate(bytes, where);
  return state->answer(*result != nullptr || bytes == 0 ? cudaSuccess : cudaErrorMemoryAllocation);
}

// Waits for everything first, as the runtime does.
cudaError_t free_memory(void* first, DeviceMemory::Where where) {
  const Locked state;
  if (first == nullptr) return state->answer(cudaSuccess);
  if (state->capturing()) return state->answer(cudaErrorStreamCaptureUnsupported);
  state->finish_all();
  return state->answer(memory().free(first, where) ? cudaSuccess : cudaErrorInvalidValue);
}

// Whether the bytes lie where the kind of copy says.
bool fits(const void* address, size_t bytes, bool on_device) {
  if (!on_device) return !memory().on_device(address);
  return memory().on_device(address) && memory().contains(address, bytes);
}

bool goes_to_device(const void* to, cudaMemcpyKind kind) {
  if (kind == cudaMemcpyDefault) return memory().on_device(to);
  return kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
}

bool comes_from_device(const void* from, cudaMemcpyKind kind) {
  if (kind == cudaMemcpyDefault) return memory().on_device(from);
  return kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
}

}  // namespace

cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}

cudaError_t cudaSetDevice(int device) {
  const Locked state;
  return state->answer(device == 0 ? cudaSuccess : cudaErrorInvalidDevice);
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  const Locked state;
  if (device != 0) return state->answer(cudaErrorInvalidDevice);
  *properties = {};
  std::snprintf(properties->name, sizeof properties->name, "CUDA kernels on the CPU");
  properties->totalGlobalMem = halftone::cuda_host::settings().memory_bytes;
  properties->sharedMemPerBlockOptin = kSharedBytesMost;
  properties->multiProcessorCount = 8;
  properties->major = 8;
  properties->l2CacheSize = 40 << 20;
  return state->answer(cudaSuccess);
}

cudaError_t cudaMemGetInfo(size_t* free_bytes, size_t* total_bytes) {
  const Locked state;
  *total_bytes = halftone::cuda_host::settings().memory_bytes;
  *free_bytes = *total_bytes - memory().used_bytes();
  return state->answer(cudaSuccess);
}

cudaError_t cudaGetLastError() {
  const Locked state;
  return state->take_last_error();
}

const char* cudaGetErrorName(cudaError_t error) {
  const auto* found = std::find_if(std::begin(kErrors), std::end(kErrors),
                                   [&](const ErrorName& candidate) { return candidate.error == error; });
  return found == std::end(kErrors) ? "unrecognized error code" : found->name;
}

const char* cudaGetErrorString(cudaError_t error) {
  return error == cudaErrorLaunchFailure ? Machine::instance().fault.c_str() : cudaGetErrorName(error);
}

cudaError_t cudaMalloc(void** result, size_t bytes) { return allocate(result, bytes, DeviceMemory::Where::kDevice); }

cudaError_t cudaFree(void* first) { return free_memory(first, DeviceMemory::Where::kDevice); }

cudaError_t cudaMallocHost(void** result, size_t bytes) {
  return allocate(result, bytes, DeviceMemory::Where::kPinned);
}

cudaError_t cudaFreeHost(void* first) { return free_memory(first, DeviceMemory::Where::kPinned); }

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  const Locked state;
  const bool to_device = goes_to_device(to, kind), from_device = comes_from_device(from, kind);
  if (bytes == 0) return state->answer(cudaSuccess);
  if (!fits(to, bytes, to_device) || !fits(from, bytes, from_device)) return state->answer(cudaErrorInvalidValue);
  Operation copy{[=] { std::memmove(to, from, bytes); }, {}, {}};
  if (!from_device) copy.reads = {from, bytes};
  if (!to_device) copy.writes = {to, bytes};
  return state->add(stream, std::move(copy));
}

cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  const Locked state;
  const cudaError_t error = cudaMemcpyAsync(to, from, bytes, kind, nullptr);
  return error == cudaSuccess ? state->finish(nullptr) : error;
}

cudaError_t cudaMemsetAsync(void* first, int value, size_t bytes, cudaStream_t stream) {
  const Locked state;
  if (bytes == 0) return state->answer(cudaSuccess);
  if (!fits(first, bytes, true)) return state->answer(cudaErrorInvalidValue);
  return state->add(stream, {[=] { std::memset(first, value, bytes); }, {}, {}});
}

cudaError_t cudaMemset(void* first, int value, size_t bytes) { return cudaMemsetAsync(first, value, bytes, nullptr); }
