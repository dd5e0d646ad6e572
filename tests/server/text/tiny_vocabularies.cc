#include "tests/server/text/tiny_vocabularies.h"

#include <gtest/gtest.h>

#include "absl/strings/str_format.h"
#include "server/text/byte_alphabet.h"

namespace halftone {

using PieceType = Vocabulary::PieceType;

Vocabulary byte_level(const std::vector<std::pair<std::string, std::string>>& merges) {
  Vocabulary v;
  v.kind = Vocabulary::Kind::kByteLevelBpe;
  v.pre_tokenizer = "gpt2";
  for (int byte = 0; byte < 256; ++byte) v.pieces.push_back(bytes_to_alphabet(std::string(1, static_cast<char>(byte))));
  for (const auto& [left, right] : merges) {
    v.merges.emplace_back(bytes_to_alphabet(left), bytes_to_alphabet(right));
    v.pieces.push_back(bytes_to_alphabet(left + right));
  }
  return v;
}

Vocabulary sentence_piece(const std::vector<std::string>& pieces) {
  Vocabulary v;
  v.kind = Vocabulary::Kind::kSentencePieceBpe;
  v.add_space_prefix = true;
  v.byte_fallback = true;
  const auto add = [&](const std::string& piece, PieceType type, float score) {
    v.pieces.push_back(piece);
    v.types.push_back(type);
    v.scores.push_back(score);
  };
  add("<unk>", PieceType::kUnknown, 0);
  add("<s>", PieceType::kControl, 0);
  add("</s>", PieceType::kControl, 0);
  for (int byte = 0; byte < 256; ++byte) add(absl::StrFormat("<0x%02X>", byte), PieceType::kByte, 0);
  for (const std::string& piece : pieces) add(piece, PieceType::kNormal, -static_cast<float>(v.pieces.size()));
  v.unknown = 0;
  v.bos = 1;
  v.eos = {2};
  v.add_bos = true;
  for (TokenId id = 0; id < 3; ++id) v.added.push_back({v.pieces[id], id, true});
  return v;
}

Vocabulary::AddedToken& add_token(Vocabulary& vocabulary, const std::string& content, bool special) {
  vocabulary.added.push_back({content, static_cast<TokenId>(vocabulary.pieces.size()), special});
  vocabulary.pieces.push_back(content);
  if (!vocabulary.types.empty()) {
    vocabulary.types.push_back(special ? PieceType::kControl : PieceType::kUserDefined);
    vocabulary.scores.push_back(0);
  }
  return vocabulary.added.back();
}

std::unique_ptr<Tokenizer> tokenizer_of(Vocabulary vocabulary) {
  auto tokenizer = Tokenizer::create(std::move(vocabulary));
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
  return tokenizer.ok() ? *std::move(tokenizer) : nullptr;
}

std::vector<std::string> pieces_of(const Tokenizer& tokenizer, const std::vector<TokenId>& ids) {
  std::vector<std::string> pieces;
  for (const TokenId id : ids) pieces.emplace_back(tokenizer.piece(id));
  return pieces;
}

}  // namespace halftone
