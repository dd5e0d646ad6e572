// Device "cuda:host": the CUDA kernels on this machine's CPU. Only binaries of test builds have it.
#pragma once

#include <memory>

#include "kernels/contract/device.h"

namespace halftone {

std::unique_ptr<Device> make_cuda_on_host(Ledger& ledger);  // null: this binary does not have it

}  // namespace halftone
