// A GGUF file, or one of the parts of a model, as a ModelSource. Any thread. Errors as open_model().
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "server/source/gguf_file.h"
#include "server/source/model_source.h"

namespace halftone {

absl::StatusOr<ModelSource> open_gguf(const std::string& path);

}  // namespace halftone
