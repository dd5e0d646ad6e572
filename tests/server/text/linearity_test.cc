// Encoding is near-linear in the text, whatever the text is: a quadratic step would take far longer on these.
#include <gtest/gtest.h>

#include <chrono>
#include <functional>

#include "server/text/chat_template.h"
#include "tests/server/text/checkpoint_tokenizers.h"
#include "tests/server/text/example_templates.h"
#include "tests/server/text/tiny_vocabularies.h"

namespace halftone {
namespace {

constexpr size_t kTextBytes = HALFTONE_SANITIZED ? 128 << 10 : 512 << 10;
constexpr double kSecondsMax = 8;  // about a hundred times what it takes; sanitizers and busy machines included

std::string repeated(const std::string& text) {
  std::string out;
  while (out.size() < kTextBytes) out += text;
  return out;
}

const std::vector<std::string>& texts() {
  static const std::vector<std::string> all = {
      repeated("a"),    repeated(" "),    repeated("7"),           repeated("\n"),        repeated("!"),
      repeated("a "),   repeated(" \n "), repeated("\xff"),        repeated("e\xcc\x81"), repeated("\xcc\x81\xcc\x96"),
      repeated("<|im"), repeated("'"),    repeated("\xe2\x80\x83")};
  return all;
}

void encode_all(const Tokenizer& tokenizer, size_t bytes = kTextBytes) {
  for (const std::string& whole : texts()) {
    const std::string text = whole.substr(0, bytes);
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

TEST(Linearity, ByteLevelWordsOfHalfAMegabyte) {
  for (const char* cut : {"smollm", "qwen2", "tekken"}) {  // gpt2 and llama3 are the same code
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

double seconds_of(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// Words of a capital side that end at a letter without case, which may come late or never.
TEST(Linearity, TekkenLooksAtACharacterAFewTimes) {
  Vocabulary v = byte_level({});
  v.pre_tokenizer = "tekken";
  const auto tokenizer = tokenizer_of(v);
  const std::string capitals(kTextBytes / 4, 'A'), broken = repeated("\u01c5"), mixed = repeated(" \u0301AB");
  for (const std::string& text : {capitals, capitals + "\u3042" + capitals, "\u3042" + capitals, broken, mixed}) {
    EXPECT_LT(seconds_of([&] { (void)tokenizer->encode(text); }), kSecondsMax) << text.substr(0, 8);
  }
}

// As long as a template may be, and longer.
TEST(Linearity, ChatTemplates) {
  const std::string opening = "<|im_start|>system\n", ending = "<|im_end|>";
  const std::vector<std::string> parts = {opening,
                                          opening + "{{ x }}",
                                          opening + "a" + ending,
                                          "{{ 'a' + b }}",
                                          "{{'",
                                          "{",
                                          "{% if x %}",
                                          "([",
                                          "{{ '" + opening + "' + x }}",
                                          "{% set system_message = 'a' + b %}"};
  const auto expect_soon = [](const std::string& jinja) {
    const double seconds = seconds_of([&] { EXPECT_FALSE(ChatTemplate::recognise(jinja, "", "").ok()); });
    EXPECT_LT(seconds, 2) << jinja.size() << " bytes of " << jinja.substr(0, 60);
  };
  for (const std::string& part : parts) {
    std::string jinja;
    while (jinja.size() < (60 << 10)) jinja += part;
    for (const std::string& whole : {jinja, jinja + ending, "{{" + jinja, "{{ x + " + jinja + "}}"}) expect_soon(whole);
  }
  std::string longer;
  for (int i = 0; i < 50'000; ++i) longer += parts[8];
  expect_soon(longer + ending);
}

TEST(Linearity, ManyAddedTokensAndEnds) {
  constexpr int kTokens = 100'000;
  Vocabulary v = byte_level({});
  for (int i = 0; i < kTokens; ++i) add_token(v, "<|token_" + std::to_string(i) + "|>", i % 2 == 0);
  for (int i = 0; i < kTokens; ++i) v.eos.push_back(256 + i);
  const std::string text = repeated("<|token_99999<|token_7|>");
  mark_chat_tokens(kPlain, v);
  const double seconds = seconds_of([&] {
    const auto tokenizer = tokenizer_of(v);
    EXPECT_GT(tokenizer->encode(text, {.parse_special = true}).size(), 10'000u);
  });
  EXPECT_LT(seconds, kSecondsMax);
}

TEST(Linearity, RealVocabularies) {
  int found = 0;
  for (const char* folder : {"smollm", "llama2"}) {
    const Tokenizer* tokenizer = load_tokenizer(shared_data(std::string("tokenizers/") + folder));
    if (!tokenizer) continue;
    ++found;
    encode_all(*tokenizer, kTextBytes / 4);  // that the ways are linear was shown; here are the tables that they use
  }
  if (found == 0) GTEST_SKIP() << "no shared data";
}

}  // namespace
}  // namespace halftone
