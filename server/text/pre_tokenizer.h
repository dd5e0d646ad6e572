// Cuts text into the words inside which byte-level BPE merges. Each known way is code of ours, equal to the regular
// expression that the checkpoints carry; linear in the text. Pure functions; any thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace halftone {

// Where the word that begins at `begin` ends; always at least one character further. begin < text.size().
using PreTokenizer = size_t (*)(std::string_view text, size_t begin);

// By the name that Vocabulary::pre_tokenizer holds ("gpt2", "smollm", "llama3", "qwen2"); null for an unknown one.
PreTokenizer find_pre_tokenizer(std::string_view name);
std::string known_pre_tokenizers();  // "gpt2, smollm, llama3, qwen2"

}  // namespace halftone
