// A small vocabulary for tests of what lies above the tokenizer: SentencePiece style, 300 ids.
//
//   0 <unk>   1 <s> (BOS)   2 </s> (EOS)   3 <tool> (special)   4..259 the bytes   260..299 words ("▁the", "ing", ...)
#pragma once

#include <memory>

#include "server/text/tokenizer.h"
#include "server/text/vocabulary.h"

namespace halftone {

inline constexpr TokenId kFakeBos = 1, kFakeEos = 2, kFakeSpecial = 3, kFakeFirstByte = 4, kFakeFirstWord = 260;
inline constexpr TokenId kFakeVocabularySize = 300;

Vocabulary fake_vocabulary();
std::unique_ptr<Tokenizer> fake_tokenizer();

}  // namespace halftone
