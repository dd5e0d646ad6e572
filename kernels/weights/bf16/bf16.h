// The bf16 weight format: values rounded to bfloat16, to nearest even.
#pragma once

#include "kernels/contract/weight_format.h"

namespace halftone {

extern const WeightFormat kBf16;

}  // namespace halftone
