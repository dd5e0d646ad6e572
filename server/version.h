// The release that this binary is.
#pragma once

#include <string>

namespace halftone {

inline constexpr const char* kVersion = HALFTONE_VERSION;

// "halftone 0.1.0"; verbose: also whether CUDA is in it, and which files of its kernels have changed since a GPU last
// proved them (bench/results).
std::string version_text(bool verbose);

}  // namespace halftone
