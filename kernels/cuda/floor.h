// What a card can do at best, measured on it.
#pragma once

#include "kernels/contract/device.h"
#include "kernels/cuda/stream.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {

DeviceFloor measure_floor(int processors, Stream& stream);

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
