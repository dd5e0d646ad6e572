#include "kernels/cuda/stream.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {

bool Stream::check(cudaError_t error, const char* what) {
  if (error != cudaSuccess && error_.empty()) {
    error_ = std::string(what) + ": " + cudaGetErrorName(error) + " (" + cudaGetErrorString(error) + ")";
  }
  return error_.empty();
}

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
