// A Hugging Face directory as a ModelSource: config.json, tokenizer.json, model.safetensors or shards with their index,
// and where they are there generation_config.json, tokenizer_config.json, chat_template.jinja. Any thread.
// Errors as open_model().
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "server/source/model_source.h"

namespace halftone {

absl::StatusOr<ModelSource> open_huggingface(const std::string& directory);

}  // namespace halftone
