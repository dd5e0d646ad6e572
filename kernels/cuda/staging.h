// Memory of the device with a pinned twin in the host's, for what travels between them in every step. Grows by
// doubling; in a steady state it does not. Engine thread only.
#pragma once

#include <cstddef>

#include "kernels/contract/ledger.h"
#include "kernels/cuda/stream.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {

template <typename T>
class Staging {
 public:
  Staging(Stream& stream, Ledger& ledger) : stream_(stream), ledger_(ledger) {
    stream_.check(cudaEventCreate(&uploaded_), "cudaEventCreate");
  }
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;
  ~Staging() {
    release();
    cudaEventDestroy(uploaded_);
  }

  T* host() const { return host_; }  // null: there was no memory
  T* device() const { return device_; }

  // Before host() is written to: an upload that is still under way would send the new contents.
  void wait_for_upload() {
    if (in_flight_) stream_.check(cudaEventSynchronize(uploaded_), "waiting for an upload");
    in_flight_ = false;
  }

  // Makes room for `count`. Returns whether the memory has moved; its contents are lost then.
  bool reserve(size_t count) {
    if (count <= capacity_) return false;
    stream_.synchronize();
    release();
    size_t wanted = 64;
    while (wanted < count) wanted *= 2;
    void *host = nullptr, *device = nullptr;
    if (!stream_.check(cudaMallocHost(&host, wanted * sizeof(T)), "pinned memory for a step")) return true;
    host_ = static_cast<T*>(host);
    if (!stream_.check(cudaMalloc(&device, wanted * sizeof(T)), "device memory for a step")) return true;
    device_ = static_cast<T*>(device);
    capacity_ = wanted;
    ledger_.add({"shared", MemoryCategory::kOther}, capacity_ * sizeof(T));
    return true;
  }
  void upload(size_t count) {
    stream_.check(cudaMemcpyAsync(device_, host_, count * sizeof(T), cudaMemcpyHostToDevice, stream_.get()), "upload");
    stream_.check(cudaEventRecord(uploaded_, stream_.get()), "cudaEventRecord");
    in_flight_ = true;
  }
  void download(size_t count) {
    stream_.check(cudaMemcpyAsync(host_, device_, count * sizeof(T), cudaMemcpyDeviceToHost, stream_.get()),
                  "download");
  }

 private:
  void release() {
    if (device_ != nullptr) cudaFree(device_);
    if (host_ != nullptr) cudaFreeHost(host_);
    if (capacity_ > 0) ledger_.subtract({"shared", MemoryCategory::kOther}, capacity_ * sizeof(T));
    host_ = nullptr, device_ = nullptr, capacity_ = 0;
  }

  Stream& stream_;
  Ledger& ledger_;
  T *host_ = nullptr, *device_ = nullptr;
  size_t capacity_ = 0;
  cudaEvent_t uploaded_ = nullptr;
  bool in_flight_ = false;
};

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
