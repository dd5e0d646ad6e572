// The roofline of a GPU, measured on it: bytes per second of a copy, operations per second of mma.
#pragma once

#include "kernels/contract/device.h"
#include "kernels/cuda/stream.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {

DeviceRoofline measure_roofline(int sm_count, Stream& stream);

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
