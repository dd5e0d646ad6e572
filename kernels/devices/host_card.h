// Device "cuda:host": the CUDA kernels on this processor. Only binaries of test builds have it.
#pragma once

#include <memory>

#include "kernels/contract/device.h"

namespace halftone {

std::unique_ptr<Device> make_host_card(Ledger& ledger);  // null: this binary does not have it

}  // namespace halftone
