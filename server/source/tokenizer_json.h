// Hugging Face tokenizer files to a Vocabulary. Any thread; nothing is kept.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "server/text/vocabulary.h"

namespace halftone {

struct TokenizerFiles {
  Vocabulary vocabulary;
  std::string chat_template;  // Jinja text; empty: none
};

// tokenizer_json: the text of tokenizer.json. tokenizer_config: that of tokenizer_config.json, or empty where there is
// none. vocabulary.eos holds the tokenizer's own EOS; the ids of generation_config.json are the caller's to add.
// INVALID_ARGUMENT: no JSON, or not what the format says, with the place. FAILED_PRECONDITION: a tokenizer of a kind
// that we do not have.
absl::StatusOr<TokenizerFiles> read_tokenizer_json(std::string_view tokenizer_json, std::string_view tokenizer_config);

}  // namespace halftone
