// Finds the scale that rounds a group's values, or a whole row's, to w8 with the least squared error (docs/NUMERICS.md
// has the rule). Any thread; the same bits everywhere.
#pragma once

#include "kernels/weights/group_search.h"

namespace halftone::w8 {

constexpr float kLastCode = 127;

// scale[kSearchRows]: of each row, as it is stored. Codes are w8::code_of. A value that is not finite makes its row's
// scale NaN. `tile` is scratch, kept from call to call.
void find_scales(const GroupRows& in, GroupTile* tile, uint16_t* scale);

inline float code_of(float value, float inverse) {
  return round_even(std::clamp(value * inverse, -kLastCode, kLastCode));
}

}  // namespace halftone::w8
