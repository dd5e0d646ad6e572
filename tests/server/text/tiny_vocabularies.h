// Vocabularies of a few dozen pieces, made to show one feature each. For tests.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "server/text/tokenizer.h"

namespace halftone {

// All 256 bytes (piece b is byte b), then what the merges make, in their order. Parts are given as bytes.
Vocabulary byte_level(const std::vector<std::pair<std::string, std::string>>& merges);
// Ids 0 <unk>, 1 <s>, 2 </s>, 3 to 258 the bytes <0x00> to <0xFF>, then these pieces, the first with the best score.
Vocabulary sentence_piece(const std::vector<std::string>& pieces);

// Adds a token that is matched in raw text; returns it for further settings.
Vocabulary::AddedToken& add_token(Vocabulary& vocabulary, const std::string& content, bool special);

// create() that must succeed.
std::unique_ptr<Tokenizer> tokenizer_of(Vocabulary vocabulary);

// The pieces of the tokens, as bytes.
std::vector<std::string> pieces_of(const Tokenizer& tokenizer, const std::vector<TokenId>& ids);

}  // namespace halftone
