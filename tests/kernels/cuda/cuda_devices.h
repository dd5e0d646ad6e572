// The devices of the CUDA backend that tests run on: bf16 activations, *bounded*. "cuda:host" runs the kernels on this
// processor.
#pragma once

#include <vector>

#include "tests/kernels/devices.h"

namespace halftone::test {

const std::vector<TestDevice>& all_cuda_devices();

}  // namespace halftone::test
