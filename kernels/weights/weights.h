// The weight formats that exist: flags, tests and benches take theirs from this list. Any thread.
#pragma once

#include <span>
#include <string_view>

#include "kernels/contract/weight_format.h"

namespace halftone {

std::span<const WeightFormat* const> all_weight_formats();
const WeightFormat* find_weight_format(std::string_view name);  // null: there is none

}  // namespace halftone
