// The release that this binary is.
#pragma once

namespace halftone {

inline constexpr const char* kVersion = HALFTONE_VERSION;

}  // namespace halftone
