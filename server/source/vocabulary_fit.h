// A tokenizer may have more tokens than the embedding has rows: nobody can ask for them, nobody can answer with them.
// One thread; used while a checkpoint is opened.
#pragma once

#include <string>
#include <vector>

#include "server/text/vocabulary.h"

namespace halftone {

// Takes out whatever has no row (pieces, added tokens, the merges that need or make them, ends and beginnings), with a
// warning. `file` is for the warnings.
void drop_tokens_beyond(int64_t rows, const std::string& file, Vocabulary& vocabulary,
                        std::vector<std::string>& warnings);

}  // namespace halftone
