#include "server/text/tokenizer_tables.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/text/byte_alphabet.h"
#include "server/text/spelling.h"
#include "server/text/unicode.h"
#include "server/text/utf8_stream.h"

namespace halftone {
namespace {

using PieceType = Vocabulary::PieceType;

constexpr size_t kMaxPieces = size_t{1} << 24;
constexpr size_t kMaxPieceBytes = 4096;

// Tokens of these names end an answer, whatever else the checkpoint calls its end, and whatever it calls them.
constexpr std::string_view kEnds[] = {"<|endoftext|>", "<|im_end|>", "<|end_of_text|>", "<|eot_id|>",
                                      "<|eom_id|>",    "<|end|>",    "<|eot|>",         "<end_of_turn>"};

// One character at most, or white space: text cannot do without it, even where a checkpoint ends its answers so.
bool is_plain(std::string_view text) {
  if (text.size() <= character_at(text, 0).bytes) return true;
  for (size_t at = 0; at < text.size();) {
    const Character c = character_at(text, at);
    if (c.kind != CharClass::kSpace) return false;
    at += c.bytes;
  }
  return true;
}

}  // namespace

absl::Status Tokenizer::Tables::check_pieces() const {
  const size_t count = vocabulary.pieces.size();
  if (count == 0 || count > kMaxPieces) {
    return absl::InvalidArgumentError(
        absl::StrFormat("vocabulary: %d pieces; 1 to %d are possible", count, kMaxPieces));
  }
  for (const auto& [name, size] : {std::pair{"types", vocabulary.types.size()}, {"scores", vocabulary.scores.size()}}) {
    if (size != 0 && size != count) {
      return absl::InvalidArgumentError(absl::StrFormat("vocabulary: %d pieces, but %d %s", count, size, name));
    }
  }
  for (size_t id = 0; id < count; ++id) {
    const size_t bytes = vocabulary.pieces[id].size();
    if (bytes > kMaxPieceBytes) {
      return absl::InvalidArgumentError(
          absl::StrFormat("vocabulary: piece %d has %d bytes; at most %d are possible", id, bytes, kMaxPieceBytes));
    }
  }
  return absl::OkStatus();
}

absl::Status Tokenizer::Tables::check_ids() const {
  const size_t count = vocabulary.pieces.size();
  const auto check = [&](const std::string& what, TokenId id) {
    if (id >= 0 && static_cast<size_t>(id) < count) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrFormat("vocabulary: the id of %s is %d, outside 0 to %d", what, id, count - 1));
  };
  for (const auto& [name, id] : {std::pair{"BOS", vocabulary.bos},
                                 {"the unknown token", vocabulary.unknown},
                                 {"the padding token", vocabulary.pad}}) {
    if (!id) continue;
    if (auto status = check(name, *id); !status.ok()) return status;
  }
  for (const TokenId id : vocabulary.eos) {
    if (auto status = check("EOS", id); !status.ok()) return status;
  }
  for (const auto& token : vocabulary.added) {
    if (auto status = check("added token " + quoted_piece(token.content), token.id); !status.ok()) return status;
    if (token.content.empty() || token.content.size() > kMaxPieceBytes) {
      return absl::InvalidArgumentError(absl::StrFormat("vocabulary: added token %d has %d bytes; 1 to %d are possible",
                                                        token.id, token.content.size(), kMaxPieceBytes));
    }
  }
  return absl::OkStatus();
}

// What begins and ends a text and what steers a chat is never shown, and never read out of a text that is not trusted,
// whatever the file calls it: such tokens become special ones. Returns those whose name says that they end an answer.
std::vector<TokenId> Tokenizer::Tables::take_control() {
  const size_t count = vocabulary.pieces.size();
  absl::flat_hash_map<std::string_view, size_t> names;  // the first ones end an answer
  for (const std::string_view name : kEnds) names.try_emplace(name, names.size());
  for (const std::string& name : vocabulary.chat_ends) names.try_emplace(name, names.size());
  const size_t ends = names.size();
  for (const std::string& name : vocabulary.chat_marks) names.try_emplace(name, names.size());

  std::vector<bool> control(count, false);
  std::vector<std::pair<size_t, TokenId>> found;
  for (size_t id = 0; id < count; ++id) {
    const auto it = names.find(vocabulary.pieces[id]);
    if (it == names.end()) continue;
    control[id] = true;
    if (it->second < ends) found.emplace_back(it->second, static_cast<TokenId>(id));
  }
  if (vocabulary.bos) control[*vocabulary.bos] = true;
  for (const TokenId id : vocabulary.eos) control[id] = true;

  if (vocabulary.types.empty()) vocabulary.types.assign(count, PieceType::kNormal);
  std::vector<bool> listed(count, false);
  for (auto& token : vocabulary.added) {
    listed[token.id] = true;
    if (control[token.id]) token.special = true;
  }
  for (size_t id = 0; id < count; ++id) {
    if (!control[id]) continue;
    std::string text = text_of(static_cast<TokenId>(id));
    if (!listed[id] && (type(id) == PieceType::kByte || is_plain(text))) continue;
    if (type(id) != PieceType::kUnknown) vocabulary.types[id] = PieceType::kControl;
    if (!listed[id]) vocabulary.added.push_back({std::move(text), static_cast<TokenId>(id), true});
  }
  std::sort(found.begin(), found.end());
  std::vector<TokenId> ids;
  ids.reserve(found.size());
  for (const auto& [name, id] : found) ids.push_back(id);
  return ids;
}

std::string Tokenizer::Tables::text_of(TokenId id) const {
  const std::string& piece = vocabulary.pieces[id];
  if (sentence_piece()) return marks_to_spaces(piece);
  return bytes_from_alphabet(piece).value_or(piece);
}

void Tokenizer::Tables::fill_added() {
  for (const auto& token : vocabulary.added) added.add(token);
  for (const auto& token : added.tokens()) added_by_content.try_emplace(token.content, token.id);
}

void Tokenizer::Tables::fill_special() {
  special.assign(vocabulary.pieces.size(), false);
  for (size_t id = 0; id < special.size(); ++id) {
    special[id] = type(id) == PieceType::kControl || type(id) == PieceType::kUnknown;
  }
  for (const auto& token : added.tokens()) {
    if (token.special) special[token.id] = true;
  }
}

void Tokenizer::Tables::fill_words() {
  const size_t count = vocabulary.pieces.size();
  bytes.resize(count);
  byte_tokens.fill(kNoToken);
  words.reserve(count);
  for (size_t id = 0; id < count; ++id) {
    const std::string& piece = vocabulary.pieces[id];
    const bool plain = !special[id] && type(id) != PieceType::kUnused && !piece.empty();
    if (sentence_piece()) {
      const auto byte = vocabulary.byte_fallback ? byte_of_piece(piece) : std::nullopt;
      bytes[id] = byte ? std::string(1, static_cast<char>(*byte)) : marks_to_spaces(piece);
      if (byte && byte_tokens[*byte] == kNoToken) byte_tokens[*byte] = static_cast<TokenId>(id);
      if (plain && !byte && type(id) == PieceType::kNormal) words.try_emplace(piece, static_cast<TokenId>(id));
    } else {
      const auto spelled = special[id] ? std::nullopt : bytes_from_alphabet(piece);
      bytes[id] = spelled.value_or(piece);
      if (plain && spelled) words.try_emplace(bytes[id], static_cast<TokenId>(id));
      if (plain && spelled && spelled->size() == 1) {
        TokenId& token = byte_tokens[static_cast<unsigned char>((*spelled)[0])];
        if (token == kNoToken) token = static_cast<TokenId>(id);
      }
    }
  }
  for (const auto& token : added.tokens()) bytes[token.id] = token.content;
}

void Tokenizer::Tables::add_merge(TokenId left, TokenId right, Merge merge) {
  const std::string_view before = vocabulary.pieces[left], after = vocabulary.pieces[right];
  if (after.starts_with(kSpaceMark) && !before.ends_with(kSpaceMark)) merges_reach_over_marks = true;
  merges.add(left, right, merge);
}

absl::Status Tokenizer::Tables::fill_merges() {
  absl::flat_hash_map<std::string_view, TokenId> spelled;
  spelled.reserve(vocabulary.pieces.size());
  for (size_t id = 0; id < vocabulary.pieces.size(); ++id) {
    spelled.try_emplace(vocabulary.pieces[id], static_cast<TokenId>(id));
  }
  merges.reserve(vocabulary.merges.size());
  uint32_t rank = 0;
  for (const auto& [left, right] : vocabulary.merges) {
    const std::string merged = left + right;
    TokenId ids[3];
    for (const auto& [part, id] : {std::pair{&left, &ids[0]}, {&right, &ids[1]}, {&merged, &ids[2]}}) {
      const auto it = spelled.find(*part);
      if (it == spelled.end()) {
        return absl::InvalidArgumentError(absl::StrFormat("vocabulary: merge %d, %s + %s: there is no piece %s", rank,
                                                          quoted_piece(left), quoted_piece(right),
                                                          quoted_piece(*part)));
      }
      *id = it->second;
    }
    if (!special[ids[2]]) add_merge(ids[0], ids[1], {rank, ids[2]});
    ++rank;
  }
  return absl::OkStatus();
}

// SentencePiece: two neighbours whose joined spelling is a piece become it, the best score first.
absl::Status Tokenizer::Tables::fill_merges_from_scores() {
  std::vector<float> order = vocabulary.scores;
  if (std::any_of(order.begin(), order.end(), [](float score) { return std::isnan(score); })) {
    return absl::InvalidArgumentError("vocabulary: a piece has no number as its score");
  }
  std::sort(order.begin(), order.end(), std::greater<>());
  order.erase(std::unique(order.begin(), order.end()), order.end());
  for (const auto& [piece, id] : words) {
    const auto rank = std::lower_bound(order.begin(), order.end(), vocabulary.scores[id], std::greater<>());
    const Merge merge{static_cast<uint32_t>(rank - order.begin()), id};
    for (size_t cut = character_at(piece, 0).bytes; cut < piece.size(); cut += character_at(piece, cut).bytes) {
      const auto left = words.find(piece.substr(0, cut));
      if (left == words.end()) continue;
      const auto right = words.find(piece.substr(cut));
      if (right != words.end()) add_merge(left->second, right->second, merge);
    }
  }
  return absl::OkStatus();
}

void Tokenizer::Tables::fill_eos(const std::vector<TokenId>& ends) {
  const auto add = [&](TokenId id) {
    if (eos_set.insert(id).second) eos.push_back(id);
  };
  for (const TokenId id : vocabulary.eos) add(id);
  for (const TokenId id : ends) add(id);
}

void Tokenizer::Tables::fill_most_bytes() {
  for (const auto& token : added.tokens()) {
    if (token.lstrip || token.rstrip) return;
  }
  const bool some_are_unknown = std::find(byte_tokens.begin(), byte_tokens.end(), kNoToken) != byte_tokens.end();
  if (sentence_piece() && some_are_unknown) return;  // a row of them is one token
  size_t most = 1;
  for (const std::string& piece : bytes) most = std::max(most, piece.size());
  constexpr size_t kMostByComposing = 4;  // no character has so many times its bytes before NFC
  most_bytes_per_token = vocabulary.nfc_normalize ? kMostByComposing * most : most;
}

void Tokenizer::Tables::fill_longest() {
  constexpr size_t kKept = 64;
  for (const std::string& piece : bytes) {
    longest.push_back(piece.size());
    // A byte that is no character alone may be shown as U+FFFD, which has three.
    if (piece.size() * 3 > most_text_bytes) {
      most_text_bytes = std::max(most_text_bytes, utf8_with_replacement(piece).size());
    }
  }
  const size_t kept = std::min(kKept, longest.size());
  std::partial_sort(longest.begin(), longest.begin() + static_cast<ptrdiff_t>(kept), longest.end(), std::greater<>());
  longest.resize(kept);
}

absl::Status Tokenizer::Tables::fill(Vocabulary from) {
  vocabulary = std::move(from);
  if (auto status = check_pieces(); !status.ok()) return status;
  if (auto status = check_ids(); !status.ok()) return status;
  if (!sentence_piece()) {
    pre_tokenizer = find_pre_tokenizer(vocabulary.pre_tokenizer);
    if (pre_tokenizer == nullptr) {
      return absl::FailedPreconditionError(absl::StrCat("the pre-tokenizer ", quoted_piece(vocabulary.pre_tokenizer),
                                                        " is unknown; known ones: ", known_pre_tokenizers()));
    }
  }
  const std::vector<TokenId> ends = take_control();
  fill_added();
  fill_special();
  fill_words();
  if (!words.contains(kSpaceMark)) merges_reach_over_marks = true;  // a row of unknown characters may
  const bool by_score = sentence_piece() && vocabulary.merges.empty() && !vocabulary.scores.empty();
  if (auto status = by_score ? fill_merges_from_scores() : fill_merges(); !status.ok()) return status;
  fill_eos(ends);
  fill_most_bytes();
  fill_longest();
  vocabulary.merges = {};
  vocabulary.scores = {};
  return absl::OkStatus();
}

}  // namespace halftone
