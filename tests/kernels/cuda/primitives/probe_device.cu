#include <cstring>

#include "tests/kernels/cuda/primitives/probe_kernel.h"
#include "tests/kernels/cuda/primitives/probes.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {
namespace {

using test::Outcome;
using test::Words;

std::vector<ProbeKernel> all_kernels() {
  std::vector<ProbeKernel> all;
  for (const auto& kernels : {number_probes(), warp_probes(), matrix_probes(), memory_probes(), bulk_probes()}) {
    all.insert(all.end(), kernels.begin(), kernels.end());
  }
  return all;
}

// Words in device memory, as long as it is.
class DeviceWords {
 public:
  explicit DeviceWords(size_t size) : bytes_(size * sizeof(uint32_t)), error_(cudaMalloc(&words_, bytes_)) {}
  DeviceWords(const DeviceWords&) = delete;
  DeviceWords& operator=(const DeviceWords&) = delete;
  ~DeviceWords() { cudaFree(words_); }

  uint32_t* get() const { return words_; }
  cudaError_t clear() { return error_ != cudaSuccess ? error_ : cudaMemset(words_, 0, bytes_); }
  cudaError_t upload(const Words& from) {
    return error_ != cudaSuccess ? error_ : cudaMemcpy(words_, from.data(), bytes_, cudaMemcpyHostToDevice);
  }
  cudaError_t download(Words* to) const { return cudaMemcpy(to->data(), words_, bytes_, cudaMemcpyDeviceToHost); }

 private:
  uint32_t* words_ = nullptr;
  size_t bytes_;
  cudaError_t error_;
};

cudaError_t run_kernel(const ProbeKernel& probe, const Words& in, Words* out) {
  const size_t blocks = in.size() / (probe.threads * probe.words_in);
  out->resize(blocks * probe.threads * probe.words_out);
  DeviceWords device_in(in.size()), device_out(out->size());
  const LaunchShape shape{dim3(static_cast<unsigned>(blocks)), dim3(probe.threads), probe.shared_bytes, nullptr};
  cudaError_t error = device_in.upload(in);
  if (error == cudaSuccess) error = device_out.clear();
  if (error == cudaSuccess) error = launch(probe.kernel, shape, device_out.get(), device_in.get());
  if (error == cudaSuccess) error = cudaDeviceSynchronize();
  if (error == cudaSuccess) error = device_out.download(out);
  return error;
}

Outcome run(const std::string& name, const Words& in) {
  for (const ProbeKernel& probe : all_kernels()) {
    if (name != probe.name) continue;
    if (in.empty() || in.size() % (probe.threads * probe.words_in) != 0) return {{}, "the words fill no whole blocks"};
    Outcome outcome;
    const cudaError_t error = run_kernel(probe, in, &outcome.words);
    if (error == cudaSuccess) return outcome;
    cudaGetLastError();  // forgets it, where it can be forgotten
    const std::string what = cudaGetErrorName(error);
    return {{}, what + ": " + cudaGetErrorString(error), what == "cudaErrorNoKernelImageForDevice"};
  }
  return {{}, "there is no kernel " + name};
}

}  // namespace

test::ProbeDevice probe_device() {
  int count = 0;
  cudaDeviceProp gpu;
  if (cudaGetDeviceCount(&count) != cudaSuccess || count == 0 || cudaGetDeviceProperties(&gpu, 0) != cudaSuccess) {
    cudaGetLastError();
    return {};
  }
  test::ProbeDevice device;
  device.gpu = std::string(gpu.name) + " (sm_" + std::to_string(gpu.major) + std::to_string(gpu.minor) + ")";
  for (const ProbeKernel& probe : all_kernels()) device.kernels.emplace_back(probe.name);
  device.run = run;
  return device;
}

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
