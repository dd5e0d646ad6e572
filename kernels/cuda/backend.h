// The CUDA backend as a Device: bf16 activations, float32 accumulation, one stream. Compiled twice: for GPUs, and for
// kernels/cuda_host. *Bounded* against the reference; every result the same bits whatever its company
// (docs/NUMERICS.md).
#pragma once

#include <memory>
#include <string>

#include "kernels/contract/device.h"
#include "kernels/cuda/launch.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {

// Null: there is no such device, and *why says what is missing.
std::unique_ptr<Device> make_backend(int index, std::string name, Ledger& ledger, std::string* why);

// The stream of such a device, for what is queued beside its own operations. Null: of another one.
cudaStream_t backend_stream(Device& device);

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
