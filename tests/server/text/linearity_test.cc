// Encoding is near-linear in the text, whatever the text is: a quadratic step would take minutes on these.
#include <gtest/gtest.h>

#include <chrono>

#include "tests/server/text/checkpoint_tokenizers.h"
#include "tests/server/text/tiny_vocabularies.h"

namespace halftone {
namespace {

constexpr size_t kMegabyte = 1 << 20;
constexpr double kSecondsMax = 15;  // about a hundred times what it takes; sanitizers and busy machines included

std::string repeated(const std::string& text) {
  std::string out;
  while (out.size() < kMegabyte) out += text;
  return out;
}

const std::vector<std::string>& texts() {
  static const std::vector<std::string> all = {
      repeated("a"),    repeated(" "),    repeated("7"),           repeated("\n"),        repeated("!"),
      repeated("a "),   repeated(" \n "), repeated("\xff"),        repeated("e\xcc\x81"), repeated("\xcc\x81\xcc\x96"),
      repeated("<|im"), repeated("'"),    repeated("\xe2\x80\x83")};
  return all;
}

void encode_all(const Tokenizer& tokenizer) {
  for (const std::string& text : texts()) {
    const auto begin = std::chrono::steady_clock::now();
    const auto ids = tokenizer.encode(text, {.parse_special = true});
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
    EXPECT_LT(seconds.count(), kSecondsMax) << "text of " << text.substr(0, 4);
    EXPECT_LE(ids.size(), 2 * text.size());
  }
}

std::vector<std::pair<std::string, std::string>> doubling(const std::vector<std::string>& letters) {
  std::vector<std::pair<std::string, std::string>> merges;
  for (const std::string& letter : letters) {
    for (std::string part = letter; part.size() < 64; part += part) merges.emplace_back(part, part);
  }
  return merges;
}

TEST(Linearity, ByteLevelWordsOfAMegabyte) {
  for (const char* cut : {"smollm", "qwen2"}) {  // gpt2 and llama3 are the same code
    Vocabulary v = byte_level(doubling({"a", " ", "7", "\n", "!"}));
    add_token(v, "<|im_end|>", true);
    v.pre_tokenizer = cut;
    v.nfc_normalize = v.pre_tokenizer == "qwen2";
    encode_all(*tokenizer_of(v));
  }
}

TEST(Linearity, ASentencePieceTextIsOneWord) {
  std::vector<std::string> pieces = {"\xe2\x96\x81", "a", "7"};
  for (const auto& [left, right] : doubling({"a", "\xe2\x96\x81", "7"})) pieces.push_back(left + right);
  encode_all(*tokenizer_of(sentence_piece(pieces)));
}

TEST(Linearity, RealVocabularies) {
  int found = 0;
  for (const char* folder : {"smollm", "llama2"}) {
    const auto tokenizer = load_tokenizer(shared_data(std::string("tokenizers/") + folder));
    if (!tokenizer) continue;
    ++found;
    encode_all(*tokenizer);
  }
  if (found == 0) GTEST_SKIP() << "no shared data";
}

}  // namespace
}  // namespace halftone
