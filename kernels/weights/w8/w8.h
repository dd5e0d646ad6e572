// The w8 weight format: symmetric 8-bit codes in groups along the inputs.
#pragma once

#include "kernels/contract/weight_format.h"

namespace halftone {

extern const WeightFormat kW8;

}  // namespace halftone
