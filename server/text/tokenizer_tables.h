// What Tokenizer looks things up in; made once from a Vocabulary. Private to this folder.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "server/text/added_tokens.h"
#include "server/text/merges.h"
#include "server/text/pre_tokenizer.h"
#include "server/text/tokenizer.h"
#include "server/text/vocabulary.h"

namespace halftone {

struct Tokenizer::Tables {
  Vocabulary vocabulary;           // without merges and scores: the tables below took them over
  std::vector<std::string> bytes;  // by id: what the token stands for
  std::vector<bool> special;       // by id
  AddedTokens added;
  absl::flat_hash_map<std::string_view, TokenId> added_by_content;
  MergeTable merges;
  bool merges_reach_over_marks = false;  // SentencePiece: "a" and "\u2581b" may become one token
  // What plain text can become: by its bytes, or for SentencePiece by its spelling with U+2581. Never a special token.
  absl::flat_hash_map<std::string_view, TokenId> words;
  std::array<TokenId, 256> byte_tokens;  // of a single byte; kNoToken where there is none
  PreTokenizer pre_tokenizer = nullptr;  // byte-level only
  std::vector<TokenId> eos;
  absl::flat_hash_set<TokenId> eos_set;
  std::optional<size_t> most_bytes_per_token;
  std::vector<size_t> longest;  // sizes of the longest pieces, the longest first; at least one
  size_t most_text_bytes = 0;

  static constexpr TokenId kNoToken = -1;

  bool sentence_piece() const { return vocabulary.kind == Vocabulary::Kind::kSentencePieceBpe; }
  bool adds_bos() const { return vocabulary.add_bos && vocabulary.bos.has_value(); }
  absl::Status fill(Vocabulary from);

 private:
  using Spellings = absl::flat_hash_map<std::string_view, TokenId>;

  Vocabulary::PieceType type(size_t id) const {
    return vocabulary.types.empty() ? Vocabulary::PieceType::kNormal : vocabulary.types[id];
  }
  absl::Status check_pieces() const;
  absl::Status check_ids() const;
  std::string text_of(TokenId id) const;  // as it stands in a text
  std::vector<TokenId> take_control();
  void fill_added();
  void fill_special();
  void fill_words();
  void add_merge(TokenId left, TokenId right, Merge merge);
  absl::Status fill_merges();
  absl::Status fill_merges_from_scores();
  void fill_eos(const std::vector<TokenId>& ends);
  void fill_most_bytes();
  void fill_longest();
};

}  // namespace halftone
