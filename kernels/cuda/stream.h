// The stream that a device's work runs on, and the first error that ended it. Engine thread only.
#pragma once

#include <string>

#include "kernels/cuda/launch.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {

class Stream {
 public:
  Stream() { check(cudaStreamCreate(&stream_), "cudaStreamCreate"); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream() { cudaStreamDestroy(stream_); }

  cudaStream_t get() const { return stream_; }
  bool ok() const { return error_.empty(); }
  const std::string& error() const { return error_; }

  // Keeps the first error, with what was tried. Returns whether there has been none.
  bool check(cudaError_t error, const char* what);
  // Waits for everything that was queued.
  bool synchronize() { return check(cudaStreamSynchronize(stream_), "waiting for the device"); }

 private:
  cudaStream_t stream_ = nullptr;
  std::string error_;
};

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
