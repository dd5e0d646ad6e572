#include "kernels/devices/cuda_on_host.h"

#include "kernels/cuda_host/cuda_host_device.h"

namespace halftone {

std::unique_ptr<Device> make_cuda_on_host(Ledger& ledger) { return make_cuda_host_device(ledger); }

}  // namespace halftone
