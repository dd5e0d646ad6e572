// Any bytes as text, through every pre-tokenizer and both kinds of vocabulary. The first two bytes say how it is cut
// up. Byte-level pieces joined are the text; ids decoded piece by piece are the text decoded at once; a stop string is
// found at the same place however the text arrives.
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/contract/check.h"
#include "server/text/byte_alphabet.h"
#include "server/text/stop_strings.h"
#include "server/text/tokenizer.h"
#include "server/text/utf8_stream.h"

namespace halftone {
namespace {

using PieceType = Vocabulary::PieceType;

void add_special_token(Vocabulary& v, const std::string& content) {
  v.added.push_back({content, static_cast<TokenId>(v.pieces.size()), true});
  v.pieces.push_back(content);
}

Vocabulary byte_level(const char* pre_tokenizer) {
  Vocabulary v;
  v.pre_tokenizer = pre_tokenizer;
  for (int byte = 0; byte < 256; ++byte) v.pieces.push_back(bytes_to_alphabet(std::string(1, static_cast<char>(byte))));
  for (const std::string part : {"a", " ", "\n", "\xc3", "1"}) {
    for (std::string left = part; left.size() < 8; left += left) {
      v.merges.emplace_back(bytes_to_alphabet(left), bytes_to_alphabet(left));
      v.pieces.push_back(bytes_to_alphabet(left + left));
    }
  }
  add_special_token(v, "<|x|>");
  return v;
}

Vocabulary sentence_piece() {
  Vocabulary v;
  v.kind = Vocabulary::Kind::kSentencePieceBpe;
  v.add_space_prefix = v.byte_fallback = true;
  static constexpr char kDigits[] = "0123456789ABCDEF";
  for (int byte = 0; byte < 256; ++byte) {
    v.pieces.push_back(std::string("<0x") + kDigits[byte / 16] + kDigits[byte % 16] + ">");
  }
  for (const char* piece : {"\xe2\x96\x81", "a", "b", "aa", "ab",
                            "\xe2\x96\x81"
                            "a",
                            "\xc3\xa9",
                            "\xc3\xa9"
                            "a"}) {
    v.pieces.push_back(piece);
  }
  add_special_token(v, "<|x|>");
  for (size_t i = 0; i < v.pieces.size(); ++i) v.scores.push_back(-static_cast<float>(i));
  return v;
}

std::vector<std::unique_ptr<Tokenizer>> make_tokenizers() {
  std::vector<std::unique_ptr<Tokenizer>> tokenizers;
  for (const char* name : {"gpt2", "smollm", "llama3", "qwen2"}) {
    tokenizers.push_back(*Tokenizer::create(byte_level(name)));
  }
  Vocabulary composing = byte_level("qwen2");
  composing.nfc_normalize = true;
  tokenizers.push_back(*Tokenizer::create(std::move(composing)));
  tokenizers.push_back(*Tokenizer::create(sentence_piece()));
  return tokenizers;
}

void check_encoding(const Tokenizer& tokenizer, std::string_view text, size_t edge, bool byte_for_byte) {
  const auto ids = tokenizer.encode(text, {.parse_special = true});
  Utf8Stream stream(tokenizer.drops_leading_space());
  std::string bytes, shown;
  for (const TokenId id : ids) {
    HALFTONE_CHECK(tokenizer.contains(id));
    bytes += tokenizer.piece(id);
    shown += stream.push(tokenizer.piece(id));
  }
  shown += stream.flush();
  HALFTONE_CHECK(shown == tokenizer.decode(ids, false));
  HALFTONE_CHECK(utf8_with_replacement(shown) == shown);
  if (byte_for_byte) HALFTONE_CHECK(bytes == text);

  const std::vector<TextSegment> trusted = {{std::string(text), true}};
  HALFTONE_CHECK(tokenizer.encode(trusted) == ids);
  const std::vector<TextSegment> parts = {{std::string(text.substr(0, edge)), false},
                                          {std::string(text.substr(edge)), false}};
  const auto plain = tokenizer.encode(parts);
  HALFTONE_CHECK(plain == tokenizer.encode(text));
  for (const TokenId id : plain) HALFTONE_CHECK(!tokenizer.is_special(id));
}

void check_stops(const std::string& text, size_t piece) {
  const std::vector<std::string> patterns = {"aab", "a\n", "abab", " "};
  StopStrings at_once(patterns), in_pieces(patterns);
  auto whole = at_once.push(text);
  if (!whole.matched) whole.text += at_once.flush();
  StopStrings::Result sum;
  for (size_t at = 0; at < text.size() && !sum.matched; at += piece) {
    auto result = in_pieces.push(std::string_view(text).substr(at, piece));
    sum.text += result.text;
    sum.matched = result.matched;
  }
  if (!sum.matched) sum.text += in_pieces.flush();
  HALFTONE_CHECK(sum.text == whole.text && sum.matched == whole.matched);
}

}  // namespace
}  // namespace halftone

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto tokenizers = halftone::make_tokenizers();
  if (size < 2) return 0;
  const std::string text(reinterpret_cast<const char*>(data) + 2, size - 2);
  for (size_t i = 0; i < tokenizers.size(); ++i) {
    halftone::check_encoding(*tokenizers[i], text, data[0] % (text.size() + 1), i < 4);
  }
  halftone::check_stops(text, 1 + data[1] % 8);
  return 0;
}
