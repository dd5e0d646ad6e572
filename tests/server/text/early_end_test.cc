// Encoding that ends early: by the number of tokens, or because whoever asked does not want it any more; and what is
// known of a text's length before it is encoded.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/server/text/tiny_vocabularies.h"

namespace halftone {
namespace {

using testing::ElementsAre;

std::string repeated(const std::string& text, size_t times) {
  std::string out;
  for (size_t i = 0; i < times; ++i) out += text;
  return out;
}

std::vector<std::unique_ptr<Tokenizer>> each_kind() {
  std::vector<std::unique_ptr<Tokenizer>> kinds;
  kinds.push_back(tokenizer_of(byte_level({{"a", "a"}, {"aa", "aa"}})));
  Vocabulary composing = byte_level({{"a", "a"}});
  composing.nfc_normalize = true;
  kinds.push_back(tokenizer_of(composing));
  kinds.push_back(tokenizer_of(sentence_piece({"\xe2\x96\x81", "a", "aa",
                                               "\xe2\x96\x81"
                                               "a"})));
  return kinds;
}

TEST(EncodingThatEndsEarly, GivesTheFirstIdsOfTheWholeText) {
  const std::string text = repeated("aaa b ", 500);
  for (const auto& tokenizer : each_kind()) {
    const auto whole = tokenizer->encode(text);
    const auto part = tokenizer->encode(text, {.max_tokens = 100});
    ASSERT_GT(part.size(), 100u);
    EXPECT_LT(part.size(), 120u);
    EXPECT_TRUE(std::equal(part.begin(), part.end(), whole.begin()));
    EXPECT_EQ(tokenizer->encode(text, {.max_tokens = whole.size()}), whole);
  }
}

TEST(EncodingThatEndsEarly, IsNotLongerForSpecialTokens) {
  Vocabulary v = byte_level({});
  add_token(v, "<x>", true);
  const auto part = tokenizer_of(v)->encode(repeated("<x>", 1000), {.parse_special = true, .max_tokens = 10});
  EXPECT_EQ(part.size(), 11u);
}

TEST(EncodingThatEndsEarly, StopsWhenItIsTold) {
  // One word for byte-level vocabularies, many for the other; neither may go on to its end.
  for (const std::string& text : {std::string(4 << 20, 'a'), repeated("a ", 2 << 20)}) {
    for (const auto& tokenizer : each_kind()) {
      int asked = 0;
      const auto part = tokenizer->encode(text, {.stopped = [&] { return ++asked == 3; }});
      EXPECT_GE(asked, 3);
      EXPECT_LE(asked, 6) << "goes on after it was told to stop";
    }
  }
}

TEST(LeastTokens, IsNeverMoreThanThereAre) {
  const std::string accents = repeated("e\xcc\x81\xe1\x84\x80\xe1\x85\xa1\xe1\x86\xa8", 50);  // shorter when composed
  for (const auto& tokenizer : each_kind()) {
    ASSERT_TRUE(tokenizer->most_bytes_per_token().has_value());
    for (const std::string& text : {std::string(), std::string("a"), repeated("aaaa", 300), accents}) {
      EXPECT_LE(tokenizer->least_tokens(text), tokenizer->encode(text).size());
    }
    EXPECT_GT(tokenizer->least_tokens(repeated("a", 10000)), 500u);
  }
}

TEST(LeastTokens, DoesNotCountWhatVanishes) {
  Vocabulary v = byte_level({});
  v.pieces['x'] = "";
  const auto tokenizer = tokenizer_of(v);
  EXPECT_EQ(tokenizer->encode(repeated("x", 100) + "ab").size(), 2u);
  EXPECT_EQ(tokenizer->least_tokens(repeated("x", 100) + "ab"), 2u);
}

TEST(LeastTokens, IsNotKnownWhereATokenSwallowsWhiteSpace) {
  Vocabulary v = byte_level({});
  add_token(v, "<x>", true).rstrip = true;
  const auto tokenizer = tokenizer_of(v);
  EXPECT_FALSE(tokenizer->most_bytes_per_token().has_value());
  EXPECT_EQ(tokenizer->least_tokens(repeated(" ", 100)), 0u);
}

TEST(BeginToken, IsNotPutBeforeATextThatBeginsWithIt) {
  const auto tokenizer = tokenizer_of(sentence_piece({"a"}));
  const EncodeOptions as_prompt = {.add_special = true, .parse_special = true};
  EXPECT_EQ(tokenizer->encode("<s>a", as_prompt), tokenizer->encode("a", as_prompt));
  EXPECT_THAT(tokenizer->encode("<s>", as_prompt), ElementsAre(1));
  EXPECT_THAT(tokenizer->encode("<s><s>", as_prompt), ElementsAre(1, 1)) << "what the text says twice stays";
  // Where the text of a special token is plain text, the text does not begin with the token.
  EXPECT_EQ(tokenizer->encode("<s>", {.add_special = true}).front(), 1);
  EXPECT_GT(tokenizer->encode("<s>", {.add_special = true}).size(), 1u);
}

}  // namespace
}  // namespace halftone
