// Cuts text into the words inside which byte-level BPE merges. Each known way is code of ours, equal to the regular
// expression that the checkpoints carry; linear in the text. Pure functions; any thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace halftone {

// Where the word that begins at `begin` ends; always at least one character further. begin < text.size().
using PreTokenizer = size_t (*)(std::string_view text, size_t begin);

// By the name that Vocabulary::pre_tokenizer holds ("gpt2", "smollm", ...); null for an unknown one.
PreTokenizer find_pre_tokenizer(std::string_view name);
std::string known_pre_tokenizers();  // "gpt2, smollm, llama3, qwen2, tekken"

// Our name for what a file says: a regular expression of tokenizer.json, or a value of GGUF's tokenizer.ggml.pre.
// What nobody knows comes back as it is: Tokenizer::create puts it into its message.
std::string pre_tokenizer_of_pattern(std::string_view pattern);
std::string pre_tokenizer_of_gguf(std::string_view name);

// What a value of tokenizer.ggml.pre says besides: Vocabulary::ignore_merges, and add_bos where the file does not say.
bool gguf_name_takes_words_whole(std::string_view name);

}  // namespace halftone
