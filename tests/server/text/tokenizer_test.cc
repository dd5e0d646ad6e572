#include "server/text/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "tests/server/text/tiny_vocabularies.h"

namespace halftone {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const char kMark[] = "\xe2\x96\x81";

std::string marked(const std::string& text) { return kMark + text; }

TEST(ByteLevelTokenizer, MergesInOrderOfRankNotOfPlace) {
  const auto tokenizer = tokenizer_of(byte_level({{"b", "c"}, {"a", "b"}, {"a", "bc"}}));
  EXPECT_THAT(pieces_of(*tokenizer, tokenizer->encode("abc")), ElementsAre("abc"));
  EXPECT_THAT(pieces_of(*tokenizer, tokenizer->encode("abab")), ElementsAre("ab", "ab"));
  EXPECT_THAT(pieces_of(*tokenizer, tokenizer->encode("bcb")), ElementsAre("bc", "b"));
}

TEST(ByteLevelTokenizer, OfEqualMergesTheLeftmostGoesFirst) {
  const auto tokenizer = tokenizer_of(byte_level({{"a", "a"}}));
  EXPECT_THAT(pieces_of(*tokenizer, tokenizer->encode("aaaaa")), ElementsAre("aa", "aa", "a"));
}

TEST(ByteLevelTokenizer, NeverMergesOverTheEdgeOfAWord) {
  const auto tokenizer = tokenizer_of(byte_level({{"a", " "}, {" ", "b"}}));
  EXPECT_THAT(pieces_of(*tokenizer, tokenizer->encode("a b")), ElementsAre("a", " b"));
}

TEST(ByteLevelTokenizer, KeepsBytesThatAreNoText) {
  const auto tokenizer = tokenizer_of(byte_level({}));
  const std::string broken = "a\xff\xc3(\xed\xa0\x80\xf4\x90";
  const auto ids = tokenizer->encode(broken);
  EXPECT_EQ(ids.size(), broken.size());
  std::string bytes;
  for (const TokenId id : ids) bytes += tokenizer->piece(id);
  EXPECT_EQ(bytes, broken);
  EXPECT_EQ(tokenizer->decode(ids),
            "a\xef\xbf\xbd\xef\xbf\xbd(\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
}

TEST(ByteLevelTokenizer, AByteWithoutAPieceVanishesBeforeMerging) {
  Vocabulary v = byte_level({{"a", "b"}});
  v.pieces['x'] = "";
  const auto tokenizer = tokenizer_of(v);
  EXPECT_THAT(pieces_of(*tokenizer, tokenizer->encode("axb")), ElementsAre("ab"));
}

TEST(ByteLevelTokenizer, TakesAWholeWordWhereMergesAreIgnored) {
  Vocabulary v = byte_level({{"b", "c"}});
  v.pieces.push_back("abc");
  EXPECT_THAT(tokenizer_of(v)->encode("abc"), ElementsAre('a', 256));
  v.ignore_merges = true;
  EXPECT_THAT(tokenizer_of(v)->encode("abc"), ElementsAre(257));
}

TEST(ByteLevelTokenizer, ComposesFirstWhereTheVocabularySaysSo) {
  Vocabulary v = byte_level({});
  const std::string apart = "e\xcc\x81", composed = "\xc3\xa9";
  EXPECT_EQ(tokenizer_of(v)->decode(tokenizer_of(v)->encode(apart)), apart);
  v.nfc_normalize = true;
  EXPECT_EQ(tokenizer_of(v)->decode(tokenizer_of(v)->encode(apart)), composed);
  EXPECT_EQ(tokenizer_of(v)->decode(tokenizer_of(v)->encode("\xff" + apart)), "\xef\xbf\xbd" + composed);
}

TEST(ByteLevelTokenizer, AnUnknownPreTokenizerIsRefusedWithTheList) {
  Vocabulary v = byte_level({});
  v.pre_tokenizer = "\\w+|\\s+";
  const auto status = Tokenizer::create(v).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("\\w+|\\\\s+"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("gpt2, smollm, llama3, qwen2"));
}

TEST(SpecialTokens, AreSeenOnlyWhereTheyAreParsed) {
  Vocabulary v = byte_level({});
  add_token(v, "<|end|>", true);
  const auto tokenizer = tokenizer_of(v);
  EXPECT_THAT(tokenizer->encode("a<|end|>b", {.parse_special = true}), ElementsAre('a', 256, 'b'));
  EXPECT_EQ(tokenizer->encode("a<|end|>b").size(), 9u);
  EXPECT_TRUE(tokenizer->is_special(256));
  EXPECT_FALSE(tokenizer->is_special('a'));
  EXPECT_EQ(tokenizer->find("<|end|>"), 256);
  EXPECT_EQ(tokenizer->decode(std::vector<TokenId>{'a', 256, 'b'}, true), "ab");
  EXPECT_EQ(tokenizer->decode(std::vector<TokenId>{'a', 256, 'b'}, false), "a<|end|>b");
}

TEST(SpecialTokens, AddedOnesThatAreNotSpecialAreSeenEverywhere) {
  Vocabulary v = byte_level({});
  add_token(v, "<tool>", false);
  EXPECT_THAT(tokenizer_of(v)->encode("a<tool>"), ElementsAre('a', 256));
}

TEST(SpecialTokens, TheEndOfTheTextIsSpecialWhateverTheFileSays) {
  Vocabulary v = byte_level({});
  add_token(v, "</s>", false);
  v.eos = {256};
  const auto tokenizer = tokenizer_of(v);
  EXPECT_EQ(tokenizer->encode("</s>").size(), 4u);
  EXPECT_TRUE(tokenizer->is_special(256) && tokenizer->is_eos(256));
}

TEST(SpecialTokens, TheLeftmostAndThenTheLongestMatchWins) {
  Vocabulary v = byte_level({});
  add_token(v, "<a>", true);
  add_token(v, "<a><b>", true);
  add_token(v, "><", true);
  const auto tokenizer = tokenizer_of(v);
  EXPECT_THAT(tokenizer->encode("<a><b>", {.parse_special = true}), ElementsAre(257));
  EXPECT_THAT(tokenizer->encode("<a><c", {.parse_special = true}), ElementsAre(256, '<', 'c'));
}

TEST(SpecialTokens, SwallowWhiteSpaceAsTheyAreTold) {
  Vocabulary v = byte_level({});
  add_token(v, "<l>", true).lstrip = true;
  add_token(v, "<r>", true).rstrip = true;
  const auto tokenizer = tokenizer_of(v);
  EXPECT_THAT(tokenizer->encode("a \n<l> b", {.parse_special = true}), ElementsAre('a', 256, ' ', 'b'));
  EXPECT_THAT(tokenizer->encode("a <r> \xe3\x80\x80"
                                "b",
                                {.parse_special = true}),
              ElementsAre('a', ' ', 257, 'b'));
  EXPECT_THAT(tokenizer->encode("<r>  <l>", {.parse_special = true}), ElementsAre(257, 256));
}

TEST(SpecialTokens, SingleWordsDoNotMatchInsideOfWords) {
  Vocabulary v = byte_level({});
  add_token(v, "xy", true).single_word = true;
  const auto tokenizer = tokenizer_of(v);
  EXPECT_THAT(tokenizer->encode("xy-axy", {.parse_special = true}), ElementsAre(256, '-', 'a', 'x', 'y'));
  EXPECT_THAT(tokenizer->encode("xy_", {.parse_special = true}), ElementsAre('x', 'y', '_'));
}

TEST(TextSegments, ASpecialTokenOfAnUntrustedSegmentIsPlainText) {
  Vocabulary v = byte_level({});
  add_token(v, "<|end|>", true);
  const auto tokenizer = tokenizer_of(v);
  const std::vector<TextSegment> segments = {{"<|end|>", true}, {"<|end|>", false}, {"<|end|>", true}};
  const auto ids = tokenizer->encode(segments);
  EXPECT_EQ(ids.size(), 9u);
  EXPECT_EQ(ids.front(), 256);
  EXPECT_EQ(ids.back(), 256);
  EXPECT_EQ(tokenizer->decode(ids, false), "<|end|><|end|><|end|>");
}

TEST(TextSegments, ASpecialTokenIsNotSeenAcrossAnEdge) {
  Vocabulary v = byte_level({});
  add_token(v, "<|end|>", true);
  const auto tokenizer = tokenizer_of(v);
  EXPECT_EQ(tokenizer->encode(std::vector<TextSegment>{{"<|e", true}, {"nd|>", false}}).size(), 7u);
  EXPECT_EQ(tokenizer->encode(std::vector<TextSegment>{{"<|e", false}, {"nd|>", true}}).size(), 7u);
  EXPECT_EQ(tokenizer->encode(std::vector<TextSegment>{{"<|e", true}, {"", false}, {"nd|>", true}}).size(), 7u);
}

TEST(TextSegments, MergeOverAnEdgeAsTheJoinedTextDoes) {
  const auto tokenizer = tokenizer_of(byte_level({{"a", "b"}}));
  EXPECT_THAT(tokenizer->encode(std::vector<TextSegment>{{"a", true}, {"b", false}}), ElementsAre(256));
}

TEST(SentencePieceTokenizer, TheBestScoreMergesFirst) {
  const auto tokenizer = tokenizer_of(sentence_piece({kMark, "a", "b", "c", "bc", "ab", marked("a")}));
  EXPECT_THAT(pieces_of(*tokenizer, tokenizer->encode("abc")), ElementsAre(" a", "bc"));
  EXPECT_THAT(pieces_of(*tokenizer, tokenizer->encode("ab")), ElementsAre(" ", "ab"));
}

TEST(SentencePieceTokenizer, MergesGiveTheSameAsScores) {
  const std::vector<std::string> pieces = {kMark, "a", "b", "c", "bc", "ab", "abc", marked("a"), marked("abc")};
  Vocabulary v = sentence_piece(pieces);
  const auto by_scores = tokenizer_of(v);
  v.scores.clear();
  v.merges = {{"b", "c"}, {"a", "b"}, {"a", "bc"}, {"ab", "c"}, {kMark, "a"}, {kMark, "abc"}, {marked("a"), "bc"}};
  const auto by_merges = tokenizer_of(v);
  for (const char* text : {"abc", "ab", "aabbcc abc", "  abcabc", "cab"}) {
    EXPECT_EQ(by_scores->encode(text), by_merges->encode(text)) << text;
  }
}

TEST(SentencePieceTokenizer, MergesOverASpaceWhereAPieceDoes) {
  const auto tokenizer = tokenizer_of(sentence_piece({kMark, "a", "b", marked("b"), "a" + marked("b")}));
  EXPECT_THAT(pieces_of(*tokenizer, tokenizer->encode("a b")), ElementsAre(" ", "a b"));
}

TEST(SentencePieceTokenizer, SpellsInBytesWhatHasNoPiece) {
  const auto tokenizer = tokenizer_of(sentence_piece({kMark, "a"}));
  EXPECT_THAT(tokenizer->encode("a\xc3\xa9"), ElementsAre(259, 260, 3 + 0xc3, 3 + 0xa9));
  EXPECT_THAT(tokenizer->encode("\xff"), ElementsAre(259, 3 + 0xff));
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("a\xc3\xa9")), "a\xc3\xa9");
}

TEST(SentencePieceTokenizer, WithoutBytesARowOfUnknownCharactersIsOneUnknownToken) {
  Vocabulary v = sentence_piece({kMark, "a"});
  v.byte_fallback = false;
  EXPECT_THAT(tokenizer_of(v)->encode("a\xc3\xa9!a"), ElementsAre(259, 260, 0, 260));
}

TEST(SentencePieceTokenizer, PutsASpaceBeforeTheTextAndAfterSpecialTokens) {
  Vocabulary v = sentence_piece({kMark, "a"});
  const EncodeOptions options{.add_special = true, .parse_special = true};
  EXPECT_THAT(tokenizer_of(v)->encode("a</s>a", options), ElementsAre(1, 259, 260, 2, 259, 260));
  EXPECT_THAT(tokenizer_of(v)->encode(" a", options), ElementsAre(1, 259, 259, 260));
  v.space_prefix_first_only = v.space_prefix_if_missing = true;
  EXPECT_THAT(tokenizer_of(v)->encode("a</s>a", options), ElementsAre(1, 259, 260, 2, 260));
  EXPECT_THAT(tokenizer_of(v)->encode(" a", options), ElementsAre(1, 259, 260));
  v.add_space_prefix = false;
  EXPECT_THAT(tokenizer_of(v)->encode("a", options), ElementsAre(1, 260));
}

TEST(SentencePieceTokenizer, NothingBecomesNothing) {
  const auto tokenizer = tokenizer_of(sentence_piece({kMark, "a"}));
  EXPECT_THAT(tokenizer->encode(""), IsEmpty());
  EXPECT_THAT(tokenizer->encode("", {.add_special = true}), ElementsAre(1));
  EXPECT_EQ(tokenizer->decode({}), "");
}

TEST(SentencePieceTokenizer, DecodingTakesTheSpaceBeforeTheTextAway) {
  const auto tokenizer = tokenizer_of(sentence_piece({kMark, "a"}));
  EXPECT_TRUE(tokenizer->drops_leading_space());
  for (const char* text : {"a", " a", "  a", "a a ", ""}) EXPECT_EQ(tokenizer->decode(tokenizer->encode(text)), text);
}

TEST(SentencePieceTokenizer, TextNeverBecomesASpecialTokenByMerging) {
  const auto tokenizer = tokenizer_of(sentence_piece({kMark, "<", "s", ">", "/", "<s", "s>", "</"}));
  for (const TokenId id : tokenizer->encode("<s></s>")) EXPECT_GT(id, 2);
}

TEST(Tokenizer, AnswersForIdsThatDoNotExist) {
  const auto tokenizer = tokenizer_of(byte_level({}));
  EXPECT_EQ(tokenizer->size(), 256);
  for (const TokenId id : {-1, 256, 2147483647}) {
    EXPECT_FALSE(tokenizer->contains(id) || tokenizer->is_special(id) || tokenizer->is_eos(id));
    EXPECT_EQ(tokenizer->piece(id), "");
  }
  EXPECT_EQ(tokenizer->decode(std::vector<TokenId>{'a', -5, 99999, 'b'}), "ab");
}

TEST(Tokenizer, KnowsWellKnownEndsOfTurns) {
  Vocabulary v = byte_level({});
  add_token(v, "<|im_end|>", true);
  add_token(v, "<|endoftext|>", true);
  add_token(v, "<|other|>", true);
  v.eos = {257};
  const auto tokenizer = tokenizer_of(v);
  EXPECT_TRUE(tokenizer->is_eos(256) && tokenizer->is_eos(257));
  EXPECT_FALSE(tokenizer->is_eos(258));
  EXPECT_EQ(tokenizer->eos()[0], 257);
}

struct Wrong {
  const char* name;
  void (*spoil)(Vocabulary&);
  const char* message;
};
void PrintTo(const Wrong& wrong, std::ostream* out) { *out << wrong.name; }

class WrongVocabularies : public testing::TestWithParam<Wrong> {};

TEST_P(WrongVocabularies, AreRefusedWithAReason) {
  Vocabulary v = byte_level({{"a", "b"}});
  GetParam().spoil(v);
  const auto status = Tokenizer::create(v).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    Tokenizer, WrongVocabularies,
    testing::Values(Wrong{"Empty", [](Vocabulary& v) { v.pieces.clear(); }, "0 pieces"},
                    Wrong{"Types", [](Vocabulary& v) { v.types.resize(3); }, "257 pieces, but 3 types"},
                    Wrong{"Scores", [](Vocabulary& v) { v.scores.resize(4); }, "but 4 scores"},
                    Wrong{"Merge", [](Vocabulary& v) { v.merges.emplace_back("q", "zz"); }, "merge 1"},
                    Wrong{"MergedPiece", [](Vocabulary& v) { v.merges.emplace_back("a", "c"); }, "no piece \"ac\""},
                    Wrong{"Bos", [](Vocabulary& v) { v.bos = 257; }, "BOS is 257, outside 0 to 256"},
                    Wrong{"Eos", [](Vocabulary& v) { v.eos = {-1}; }, "EOS is -1"},
                    Wrong{"Added",
                          [](Vocabulary& v) {
                            v.added = {{"<x>", 300}};
                          },
                          "added token \"<x>\" is 300"},
                    Wrong{"AddedText",
                          [](Vocabulary& v) {
                            v.added = {{"", 3}};
                          },
                          "added token 3 has 0 bytes"},
                    Wrong{"LongPiece", [](Vocabulary& v) { v.pieces[7] = std::string(5000, 'x'); },
                          "piece 7 has 5000"}),
    [](const auto& info) { return info.param.name; });

TEST(WrongVocabularies, AScoreThatIsNoNumberIsRefused) {
  Vocabulary v = sentence_piece({"a"});
  v.scores[259] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(Tokenizer::create(v).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace halftone
