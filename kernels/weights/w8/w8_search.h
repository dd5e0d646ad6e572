// Finds the scale that rounds a group's values, or a whole row's, to w8 with the least squared error (docs/NUMERICS.md
// has the rule). Any thread; the same bits everywhere.
#pragma once

#include "kernels/weights/group_search.h"

namespace halftone::w8 {

constexpr float kLastCode = 127;

extern const GroupSearch kAvx512VnniSearch;
extern const GroupSearch kAvx2Search;
extern const GroupSearch kEmulatedSearch;
inline constexpr GroupSearches kSearches{{&kAvx512VnniSearch, &kAvx2Search, &kEmulatedSearch}};

}  // namespace halftone::w8
