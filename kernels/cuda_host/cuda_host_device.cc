#include "kernels/cuda_host/cuda_host_device.h"

#include "kernels/contract/check.h"
#include "kernels/cuda/backend.h"

namespace halftone {

std::unique_ptr<Device> make_cuda_host_device(Ledger& ledger) {
  std::string why;
  std::unique_ptr<Device> device = cuda_host::make_backend(0, "cuda:host", ledger, &why);
  HALFTONE_CHECK(device != nullptr);
  return device;
}

}  // namespace halftone
