// config.json and generation_config.json of a Hugging Face checkpoint. Any thread; nothing is kept.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "server/architecture/family.h"
#include "server/source/model_source.h"

namespace halftone {

struct HuggingFaceConfig {
  const Family* family = nullptr;
  ModelSpec spec;
  GenerationDefaults generation;
  std::optional<TokenId> bos;  // what both files say about tokens
  std::vector<TokenId> eos;
  std::optional<bool> attention_bias;  // whether q, k, v and o have biases, where the file says it
  std::vector<std::string> warnings;   // ModelSource::warnings
};

// The texts of both files (generation_config empty: there is none); the paths are for messages. INVALID_ARGUMENT:
// missing, of another type or out of range. UNIMPLEMENTED: what it asks for is not here (a family that we do not know,
// a kind of RoPE scaling, GPTQ, ...).
absl::StatusOr<HuggingFaceConfig> read_huggingface_config(std::string_view config, const std::string& config_path,
                                                          std::string_view generation_config,
                                                          const std::string& generation_path);

}  // namespace halftone
