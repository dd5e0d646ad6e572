// A GGUF file as a ModelSource. Any thread. Errors as open_model().
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "server/source/gguf_file.h"
#include "server/source/model_source.h"

namespace halftone {

absl::StatusOr<ModelSource> open_gguf(const std::string& path);

// The configuration and sampling advice in a file's metadata; of a family that we do not know, as far as it goes.
absl::StatusOr<ModelConfig> gguf_config(const GgufFile& gguf, const std::string& file);
GenerationDefaults gguf_generation(const GgufMetadata& metadata);

}  // namespace halftone
