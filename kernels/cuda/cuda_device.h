// An NVIDIA GPU as a device. no_cuda.cc stands for it in builds without the toolkit.
#pragma once

#include <memory>
#include <string>

#include "kernels/contract/device.h"

namespace halftone {

// Null: there is no such GPU for this build, and *why says what is missing.
std::unique_ptr<Device> make_cuda_device(int index, Ledger& ledger, std::string* why);

// The cudaStream_t of such a device, for what is queued beside its own operations. Null: of another device.
void* cuda_stream(Device& device);

}  // namespace halftone
