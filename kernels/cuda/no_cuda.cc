#include "kernels/cuda/cuda_device.h"

namespace halftone {

std::unique_ptr<Device> make_cuda_device(int, Ledger&, std::string* why) {
  *why = "this build has no CUDA backend (configure with HALFTONE_CUDA=ON where nvcc is)";
  return nullptr;
}

void* cuda_stream(Device& /*device*/) { return nullptr; }

}  // namespace halftone
