// The f32 weight format: the source's own values.
#pragma once

#include "kernels/contract/weight_format.h"

namespace halftone {

extern const WeightFormat kF32;

}  // namespace halftone
