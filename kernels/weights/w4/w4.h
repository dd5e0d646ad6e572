// The w4 weight format: affine 4-bit codes in groups along the inputs.
#pragma once

#include "kernels/contract/weight_format.h"

namespace halftone {

extern const WeightFormat kW4;

}  // namespace halftone
