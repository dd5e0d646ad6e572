// Device "cuda:host": the CUDA backend on the machine of cuda_host.h. For tests and for halftone-server-host.
#pragma once

#include <memory>

#include "kernels/contract/device.h"

namespace halftone {

std::unique_ptr<Device> make_cuda_host_device(Ledger& ledger);

}  // namespace halftone
