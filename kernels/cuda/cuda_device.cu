#include "kernels/cuda/cuda_device.h"

#include "kernels/cuda/backend.h"

namespace halftone {

std::unique_ptr<Device> make_cuda_device(int index, Ledger& ledger, std::string* why) {
  return cuda::make_backend(index, "cuda:" + std::to_string(index), ledger, why);
}

void* cuda_stream(Device& device) { return cuda::backend_stream(device); }

}  // namespace halftone
