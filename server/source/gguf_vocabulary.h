// The tokenizer part of GGUF metadata to a Vocabulary. Any thread; nothing is kept.
#pragma once

#include "absl/status/statusor.h"
#include "server/source/gguf_metadata.h"
#include "server/source/tokenizer_json.h"

namespace halftone {

// INVALID_ARGUMENT: a key is missing, has another type or another length, or an id is out of range (absent and
// 0xffffffff both mean "none"). FAILED_PRECONDITION: a tokenizer of a kind that we do not have.
absl::StatusOr<TokenizerFiles> read_gguf_vocabulary(const GgufMetadata& metadata);

}  // namespace halftone
