// What a checkpoint's author recommends for sampling, as far as a request may say it too: a value that no request may
// have is left out, with a warning. Any thread; no state.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "server/source/gguf_metadata.h"
#include "server/source/model_source.h"

namespace halftone {

// From the keys general.sampling.*; `file` is for the warnings.
GenerationDefaults gguf_generation(const GgufMetadata& metadata, const std::string& file,
                                   std::vector<std::string>& warnings);

// From the object of generation_config.json. do_sample false is greedy; what else it says about drawing is a leftover.
GenerationDefaults huggingface_generation(const nlohmann::json& object, const std::string& file,
                                          std::vector<std::string>& warnings);

}  // namespace halftone
