#include "tests/support/fake_vocabulary.h"

#include <array>
#include <string>

#include "kernels/contract/check.h"

namespace halftone {
namespace {

constexpr std::array kWords = {"e",     "t",   "a",   "o",     "n",     "i",     "s",     "r",    "h",    "l",
                               "d",     "c",   "u",   "▁",     "▁t",    "▁a",    "▁the",  "▁and", "▁of",  "▁to",
                               "▁in",   "▁is", "▁it", "▁that", "▁was",  "▁for",  "▁on",   "▁are", "▁as",  "▁with",
                               "▁they", "▁be", "▁at", "▁one",  "▁have", "▁this", "▁from", "▁or",  "▁had", "é"};
static_assert(kFakeFirstWord + kWords.size() == kFakeVocabularySize);

}  // namespace

Vocabulary fake_vocabulary() {
  using Type = Vocabulary::PieceType;
  Vocabulary vocabulary;
  vocabulary.kind = Vocabulary::Kind::kSentencePieceBpe;
  const auto add = [&](std::string piece, Type type) {
    vocabulary.pieces.push_back(std::move(piece));
    vocabulary.types.push_back(type);
    vocabulary.scores.push_back(-static_cast<float>(vocabulary.scores.size()));
  };
  add("<unk>", Type::kUnknown);
  add("<s>", Type::kControl);
  add("</s>", Type::kControl);
  add("<tool>", Type::kControl);
  constexpr char kHex[] = "0123456789ABCDEF";
  for (int byte = 0; byte < 256; ++byte) {
    add(std::string("<0x") + kHex[byte / 16] + kHex[byte % 16] + '>', Type::kByte);
  }
  for (const char* word : kWords) add(word, Type::kNormal);
  for (TokenId id : {kFakeBos, kFakeEos, kFakeSpecial}) {
    Vocabulary::AddedToken token;
    token.content = vocabulary.pieces[static_cast<size_t>(id)];
    token.id = id;
    token.special = true;
    vocabulary.added.push_back(token);
  }
  vocabulary.byte_fallback = true;
  vocabulary.add_space_prefix = true;
  vocabulary.add_bos = true;
  vocabulary.unknown = 0;
  vocabulary.bos = kFakeBos;
  vocabulary.eos = {kFakeEos};
  return vocabulary;
}

std::unique_ptr<Tokenizer> fake_tokenizer() {
  absl::StatusOr<std::unique_ptr<Tokenizer>> tokenizer = Tokenizer::create(fake_vocabulary());
  HALFTONE_CHECK(tokenizer.ok());
  return std::move(*tokenizer);
}

}  // namespace halftone
