// float32 rows into the bytes of a checkpoint's tensor format, by plain rounding. Tests only; any thread.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace halftone {

// F32, F16, BF16, Q4_0, Q4_1 or Q8_0; whole blocks of 32 for the last three.
std::string encode_values(std::string_view type, std::span<const float> values);

}  // namespace halftone
