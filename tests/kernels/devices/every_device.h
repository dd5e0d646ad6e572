// The one list of devices that operations are tested on, from the same cases: the CPU with each instruction set, the
// remote device, and the CUDA backend on fibers under several orders of theirs, or on a GPU. *Ordered* devices have the
// reference's bits, the others lie within the bound of double (tests/kernels/on_device.h).
#pragma once

#include <string>
#include <vector>

#include "tests/kernels/cuda/on_cuda.h"

namespace halftone::test {

std::vector<DeviceParam> every_device();

}  // namespace halftone::test
