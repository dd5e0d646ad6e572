// Queues a kernel: body() is it with its arguments, once for each thread.
#pragma once

#include <cstddef>
#include <functional>

#include "kernels/cuda_host/runtime.h"

namespace halftone::cuda_host::machine {

cudaError_t launch(Dim3 grid, Dim3 block, size_t shared_bytes, std::function<void()> body, Stream* stream);

}  // namespace halftone::cuda_host::machine
