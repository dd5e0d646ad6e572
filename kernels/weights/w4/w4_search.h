// Finds the scale and minimum that round a group's values to w4 with the least squared error (docs/NUMERICS.md has the
// rule). Any thread; the same bits everywhere.
#pragma once

#include "kernels/weights/group_search.h"

namespace halftone::w4 {

constexpr float kLastCode = 15;

// Of each row, as they are stored. Codes are w4::code_of.
struct Grids {
  uint16_t scale[kSearchRows];
  uint16_t minimum[kSearchRows];
};

// A value that is not finite makes its row's scale NaN. `tile` is scratch, kept from call to call.
void find_grids(const GroupRows& in, GroupTile* tile, Grids* out);

inline float code_of(float value, float minimum, float inverse) {
  return round_even(std::clamp((value - minimum) * inverse, 0.0f, kLastCode));
}

}  // namespace halftone::w4
