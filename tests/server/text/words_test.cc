#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/text/byte_alphabet.h"
#include "server/text/pre_tokenizer.h"
#include "server/text/unicode.h"

namespace halftone {
namespace {

using testing::ElementsAre;

std::vector<std::string> words(const char* name, std::string_view text) {
  std::vector<std::string> words;
  const PreTokenizer cut = find_pre_tokenizer(name);
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = cut(text, begin);
    EXPECT_GT(end, begin);
    if (end <= begin) break;
    words.emplace_back(text.substr(begin, end - begin));
    begin = end;
  }
  return words;
}

TEST(PreTokenizers, OnlyTheListedOnesAreKnown) {
  EXPECT_EQ(known_pre_tokenizers(), "gpt2, smollm, llama3, qwen2, tekken");
  for (const char* name : {"gpt2", "smollm", "llama3", "qwen2", "tekken"}) EXPECT_NE(find_pre_tokenizer(name), nullptr);
  for (const char* name : {"", "GPT2", "falcon"}) EXPECT_EQ(find_pre_tokenizer(name), nullptr);
}

TEST(PreTokenizers, AreFoundByPatternAndByGgufName) {
  EXPECT_EQ(pre_tokenizer_of_pattern(R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)"),
            "gpt2");
  EXPECT_EQ(pre_tokenizer_of_pattern("\\w+"), "\\w+");
  EXPECT_EQ(pre_tokenizer_of_gguf("llama-bpe"), "llama3");
  EXPECT_EQ(pre_tokenizer_of_gguf("gpt-2"), "gpt2");
  EXPECT_EQ(pre_tokenizer_of_gguf("smollm"), "smollm");
  EXPECT_EQ(pre_tokenizer_of_gguf("qwen2"), "qwen2");
  EXPECT_EQ(pre_tokenizer_of_gguf("deepseek-llm"), "deepseek-llm");
}

TEST(PreTokenizers, OtherGgufNamesOfTheSamePatternAreKnown) {
  const std::pair<const char*, const char*> names[] = {
      {"starcoder", "smollm"}, {"refact", "smollm"},  {"command-r", "smollm"}, {"olmo", "gpt2"},
      {"smaug-bpe", "llama3"}, {"falcon3", "llama3"}, {"tekken", "tekken"},    {"deepseek-r1-qwen", "qwen2"}};
  for (const auto& [gguf, ours] : names) EXPECT_EQ(pre_tokenizer_of_gguf(gguf), ours);
  EXPECT_TRUE(gguf_name_takes_words_whole("tekken") && gguf_name_takes_words_whole("falcon3"));
  EXPECT_FALSE(gguf_name_takes_words_whole("smaug-bpe") || gguf_name_takes_words_whole("qwen2"));
}

TEST(PreTokenizers, Gpt2KeepsOneSpaceBeforeAWord) {
  EXPECT_THAT(words("gpt2", "the  cat's 12 eggs!? "), ElementsAre("the", " ", " cat", "'s", " 12", " eggs", "!?", " "));
  EXPECT_THAT(words("gpt2", "a\n\n b"), ElementsAre("a", "\n\n", " b"));
  EXPECT_THAT(words("gpt2", "a\t\tb"), ElementsAre("a", "\t", "\t", "b"));
  EXPECT_THAT(words("gpt2", "I'LL"), ElementsAre("I", "'", "LL"));
}

TEST(PreTokenizers, SmollmCutsDigitsOutFirst) {
  EXPECT_THAT(words("smollm", "a 12"), ElementsAre("a", " ", "1", "2"));
  EXPECT_THAT(words("smollm", "a  \n1b"), ElementsAre("a", "  \n", "1", "b"));
  EXPECT_THAT(words("smollm", "a  b"), ElementsAre("a", " ", " b"));
  EXPECT_THAT(words("smollm", "\xc2\xbd\xe2\x85\xab"), ElementsAre("\xc2\xbd", "\xe2\x85\xab"));
}

TEST(PreTokenizers, Llama3TakesThreeDigitsAndQwenOne) {
  EXPECT_THAT(words("llama3", "12345"), ElementsAre("123", "45"));
  EXPECT_THAT(words("qwen2", "123"), ElementsAre("1", "2", "3"));
}

TEST(PreTokenizers, Llama3JoinsLineBreaksWithWhatIsBeforeThem) {
  EXPECT_THAT(words("llama3", "a;\r\n\nb"), ElementsAre("a", ";\r\n\n", "b"));
  EXPECT_THAT(words("llama3", "a \t\n  \n  b"), ElementsAre("a", " \t\n  \n", " ", " b"));
  EXPECT_THAT(words("llama3", "a   b"), ElementsAre("a", "  ", " b"));
  EXPECT_THAT(words("llama3", "a  "), ElementsAre("a", "  "));
}

TEST(PreTokenizers, Llama3PutsAnyOtherCharacterBeforeAWord) {
  EXPECT_THAT(words("llama3", "(one)\ttwo"), ElementsAre("(one", ")", "\ttwo"));
  EXPECT_THAT(words("llama3", "\none"), ElementsAre("\n", "one"));
  EXPECT_THAT(words("llama3", "DON'T we'Ll"), ElementsAre("DON", "'T", " we", "'Ll"));
  EXPECT_THAT(words("llama3", "it'\xc5\xbf"), ElementsAre("it", "'\xc5\xbf"));
}

// What Python's regex module makes of the pattern that Mistral Nemo's files carry.
TEST(PreTokenizers, TekkenCutsBeforeACapital) {
  EXPECT_THAT(words("tekken", "HelloWorld camelCase HTTPServer"),
              ElementsAre("Hello", "World", " camel", "Case", " HTTPServer"));
  EXPECT_THAT(words("tekken", "don't DON'T 2024"), ElementsAre("don", "'t", " DON", "'T", " ", "2", "0", "2", "4"));
  EXPECT_THAT(words("tekken", "a/b //\n\r/x"), ElementsAre("a", "/b", " //\n\r/", "x"));
  EXPECT_THAT(words("tekken", "a  \n\n b \t"), ElementsAre("a", "  \n\n", " b", " \t"));
}

// Letters without case and marks stand on both sides; where no small letter follows, the last of them ends the word.
TEST(PreTokenizers, TekkenTakesLettersWithoutCaseForBoth) {
  EXPECT_THAT(words("tekken", "AB\u3042CD"), ElementsAre("AB\u3042", "CD"));
  EXPECT_THAT(words("tekken", "\u3042A\u0301BC"), ElementsAre("\u3042A\u0301", "BC"));
  EXPECT_THAT(words("tekken", "a\u3042b\u01c5c"), ElementsAre("a\u3042b", "\u01c5c"));
  EXPECT_THAT(words("tekken", "\u0301AB"), ElementsAre("\u0301", "AB"));
  EXPECT_THAT(words("tekken", "!\u0301AB\u02b0"), ElementsAre("!\u0301AB\u02b0"));
  EXPECT_THAT(words("tekken", "\u3000A\nB"), ElementsAre("\u3000A", "\n", "B"));
}

TEST(PreTokenizers, BrokenBytesAreCutLikeSigns) {
  for (const char* name : {"gpt2", "smollm", "llama3", "qwen2", "tekken"}) {
    std::string joined;
    for (const std::string& word : words(name, "a\xff\xfe b\xc3")) joined += word;
    EXPECT_EQ(joined, "a\xff\xfe b\xc3");
  }
  EXPECT_THAT(words("gpt2", "\xff\xfe!a"), ElementsAre("\xff\xfe!", "a"));
}

TEST(Unicode, KnowsClassesOfCharacters) {
  EXPECT_EQ(character_at("\xc3\xa9", 0).kind, CharClass::kLetter);
  EXPECT_EQ(character_at("\xe6\x97\xa5", 0).kind, CharClass::kLetter);
  EXPECT_EQ(character_at("\xd9\xa3", 0).kind, CharClass::kNumber);      // ARABIC-INDIC DIGIT THREE
  EXPECT_EQ(character_at("\xe2\x85\xab", 0).kind, CharClass::kNumber);  // ROMAN NUMERAL TWELVE
  EXPECT_EQ(character_at("\xe3\x80\x80", 0).kind, CharClass::kSpace);   // IDEOGRAPHIC SPACE
  EXPECT_EQ(character_at("\xc2\x85", 0).kind, CharClass::kSpace);       // NEXT LINE
  EXPECT_EQ(character_at("\xe2\x80\x8b", 0).kind, CharClass::kOther);   // ZERO WIDTH SPACE
  EXPECT_EQ(character_at("\x1c", 0).kind, CharClass::kOther);
}

TEST(Unicode, ReadsTheSameCharactersFromBothEnds) {
  const std::string text = "a\xc3\xa9\xff\xe6\x97\xa5\xf0\x9f\x99\x82\xe6\x97z\x80";
  std::vector<size_t> forward, backward;
  for (size_t at = 0; at < text.size(); at += character_at(text, at).bytes) forward.push_back(at);
  for (size_t end = text.size(); end > 0;) backward.insert(backward.begin(), end -= character_before(text, end).bytes);
  EXPECT_EQ(forward, backward);
  EXPECT_EQ(character_at(text, text.size()).bytes, 0u);
  EXPECT_EQ(character_before(text, 0).bytes, 0u);
}

TEST(Unicode, ComposesAndOrdersMarks) {
  EXPECT_EQ(compose("e\xcc\x81"), "\xc3\xa9");
  EXPECT_EQ(compose("a\xcc\x81\xcc\xa3"), "\xe1\xba\xa1\xcc\x81");  // dot below goes before acute
  EXPECT_EQ(compose("\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab"), "\xed\x95\x9c");
  EXPECT_EQ(compose("\xe2\x84\xa6"), "\xce\xa9");  // OHM SIGN
  EXPECT_EQ(compose("\xff"
                    "e\xcc\x81\xc3"),
            "\xff\xc3\xa9\xc3");
  EXPECT_EQ(compose("plain"), "plain");
}

TEST(ByteAlphabet, SpellsEveryByte) {
  for (int byte = 0; byte < 256; ++byte) {
    const std::string one(1, static_cast<char>(byte));
    EXPECT_EQ(bytes_from_alphabet(bytes_to_alphabet(one)), one);
  }
  EXPECT_EQ(bytes_to_alphabet(" \n!"), "\xc4\xa0\xc4\x8a!");
  EXPECT_FALSE(bytes_from_alphabet(" ").has_value());
  EXPECT_FALSE(bytes_from_alphabet("\xe2\x96\x81").has_value());
  EXPECT_FALSE(bytes_from_alphabet("\xff").has_value());
}

}  // namespace
}  // namespace halftone
