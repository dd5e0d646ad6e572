// A GGUF model in one file or in several, as llama.cpp splits them: PREFIX-00001-of-0000N.gguf and so on, opened by
// naming any of them. The first holds the metadata, each holds tensors. Any thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/source/gguf_file.h"
#include "server/source/mapped_file.h"

namespace halftone {

struct GgufParts {
  std::vector<std::unique_ptr<MappedFile>> files;  // the first is the one with the metadata
  GgufFile all;                                    // with the tensors of all files, which point into the mappings
};

// Errors name the part that is missing or that belongs to something else.
absl::StatusOr<GgufParts> open_gguf_parts(const std::string& path);

}  // namespace halftone
