// A file that is written beside its name, to be renamed when it is complete. It is locked (flock) while its writer
// lives, so that what a killed one left is known at once and removed, and nothing else is: a scratch file is hidden
// and called ".NAME.scratch-" and six letters. Nobody but its owner may write to it, and the umask holds.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace halftone {

struct ScratchFile {
  std::string path;
  int descriptor = -1;  // the caller's to close; that unlocks it
};

// Removes what was abandoned for the same `path`, then makes an empty file.
absl::StatusOr<ScratchFile> create_scratch_file(const std::string& path);

}  // namespace halftone
