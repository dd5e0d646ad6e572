// Finds the scale and minimum that round a group's values to w4 with the least squared error (docs/NUMERICS.md
// has the rule). Any thread; the same bits everywhere.
#pragma once

#include "kernels/weights/group_search.h"

namespace halftone::w4 {

constexpr float kLastCode = 15;

extern const GroupSearch kAvx512VnniSearch;
extern const GroupSearch kAvx2Search;
extern const GroupSearch kEmulatedSearch;
inline constexpr GroupSearches kSearches{{&kAvx512VnniSearch, &kAvx2Search, &kEmulatedSearch}};

}  // namespace halftone::w4
