// Tokenizers of real checkpoints, from the shared data or the model cache where they are found. For tests.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "server/source/tokenizer_json.h"
#include "server/text/tokenizer.h"

namespace halftone {

std::optional<std::string> read_file(const std::string& path);
std::string shared_data(const std::string& path);
// The default model's file in the cache; empty where there is none.
std::string default_model_path();

// From FOLDER/tokenizer.json (and tokenizer_config.json), or from a .gguf file. Nothing where it is missing; a file
// that is there and can't be read fails the test.
std::optional<TokenizerFiles> load_files(const std::string& path);
// Read once for all tests of the program; null where it is missing.
const Tokenizer* load_tokenizer(const std::string& path);

struct Vector {
  std::string text;
  std::vector<TokenId> ids;
};
// Conformance vectors: texts apart by a line of their own, and one line of ids for each.
std::vector<Vector> load_vectors(const std::string& path_without_ending);

}  // namespace halftone
