// Text to token ids and back: byte-level BPE and SentencePiece-style BPE, as the checkpoint's Vocabulary describes.
// Immutable after create(): every function may be called from any thread. Time and memory are near-linear in the text
// (n log n in the length of one word), whatever the text is.
//
// Text is taken as UTF-8; bytes that are no UTF-8 are kept as they are by byte-level vocabularies (each byte is a
// symbol of its own) and spelled in <0xNN> pieces by SentencePiece ones. A byte for which a byte-level vocabulary has
// no piece vanishes, as in the library that these vocabularies come from.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "server/text/vocabulary.h"

namespace halftone {

// A stretch of text and whether the text of special tokens ("<|im_end|>") in it means these tokens.
// What users write is not trusted: there it is plain text.
struct TextSegment {
  std::string text;
  bool parse_special = false;
};

struct EncodeOptions {
  bool add_special = false;    // begin with BOS where the checkpoint's own tokenizer does, and the text itself does not
  bool parse_special = false;  // the text of a special token means that token
  // The work ends early, with some of the ids, once there are more than max_tokens, or when `stopped` says so. It is
  // asked after every few thousand bytes, on the calling thread.
  size_t max_tokens = SIZE_MAX;
  std::function<bool()> stopped = {};
};

class Tokenizer {
 public:
  // INVALID_ARGUMENT: ids out of range, merges of unknown pieces, and the like.
  // FAILED_PRECONDITION: a pre-tokenizer that we do not know, with the list of those that we do.
  static absl::StatusOr<std::unique_ptr<Tokenizer>> create(Vocabulary vocabulary);
  ~Tokenizer();

  std::vector<TokenId> encode(std::string_view text, const EncodeOptions& options = {}) const;
  // The same as encoding the joined text, but a special token is seen only inside one segment that allows it.
  // options.parse_special is not used: each segment says it.
  std::vector<TokenId> encode(std::span<const TextSegment> segments, const EncodeOptions& options = {}) const;

  // The bytes that a token stands for; alone they may be half a character. Empty for an id without a piece.
  std::string_view piece(TokenId id) const;
  // Complete UTF-8: what is no character becomes U+FFFD. A SentencePiece vocabulary that puts a space before the text
  // takes one away here. Ids without a piece are skipped.
  std::string decode(std::span<const TokenId> ids, bool skip_special = true) const;
  bool drops_leading_space() const;  // decode() does so; for whoever decodes piece by piece (utf8_stream.h)

  // Number of ids, gaps included. A model's own vocabulary may be larger (padding).
  int64_t size() const;
  bool contains(TokenId id) const { return id >= 0 && id < size(); }
  std::optional<TokenId> find(std::string_view content) const;  // a special or added token by its text, or a piece
  bool is_eos(TokenId id) const;  // ends an answer: what the checkpoint says, and the well-known ends of turn
  bool is_special(TokenId id) const;
  std::optional<TokenId> bos() const;
  std::optional<TokenId> unknown() const;
  std::span<const TokenId> eos() const;  // the checkpoint's own one first
  bool adds_bos() const;
  // No token stands for more bytes of a text than this. Nothing where there is no such bound: where a token swallows
  // the white space beside it, or a row of unknown characters is one token.
  std::optional<size_t> most_bytes_per_token() const;
  // The sum of the sizes of the `count` longest pieces, and the most bytes that one of them gives to a decoded text:
  // what an answer of tokens can have at most.
  uint64_t bytes_of_longest(size_t pieces) const;
  size_t most_text_bytes_per_token() const;
  // A number of tokens that the text has at least, known without encoding it.
  size_t least_tokens(std::string_view text) const;

 private:
  struct Tables;
  class Encoder;
  explicit Tokenizer(std::unique_ptr<const Tables> tables);
  std::unique_ptr<const Tables> tables_;
};

}  // namespace halftone
