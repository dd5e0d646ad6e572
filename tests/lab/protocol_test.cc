// Which tokens make a window and which rows count, by hand for each protocol.
#include "lab/protocol.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "tests/support/fake_vocabulary.h"

namespace halftone {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr int32_t kBos = 7777;

// 100, 101, ...: a token's place in the text can be read off it.
std::vector<int32_t> ids(int64_t count) {
  std::vector<int32_t> out(static_cast<size_t>(count));
  std::iota(out.begin(), out.end(), 100);
  return out;
}

TextWindows cut(int64_t count, std::optional<int32_t> bos, const WindowOptions& options) {
  const absl::StatusOr<TextWindows> text = cut_windows(ids(count), bos, options);
  EXPECT_TRUE(text.ok()) << text.status();
  return *text;
}

std::string refusal(int64_t count, const WindowOptions& options) {
  const absl::Status status = cut_windows(ids(count), std::nullopt, options).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  return std::string(status.message());
}

TEST(Protocol, WindowsFollowEachOtherAndScoreAllButTheirFirstToken) {
  const TextWindows text = cut(11, std::nullopt, {.window_tokens = 5, .windows = 2});
  EXPECT_THAT(text.windows, ElementsAre(ElementsAre(100, 101, 102, 103, 104), ElementsAre(105, 106, 107, 108, 109)));
  EXPECT_EQ(text.first_row, 0);
  EXPECT_EQ(text.rows_per_window(), 4);
  EXPECT_EQ(text.scored_positions(), 8);
  EXPECT_THAT(text.bos, HasSubstr("adds no BOS"));
}

TEST(Protocol, WindowsWithBosScoreEveryTokenOfTheText) {
  const TextWindows text = cut(9, kBos, {.window_tokens = 5, .windows = 2});
  EXPECT_THAT(text.windows, ElementsAre(ElementsAre(kBos, 100, 101, 102, 103), ElementsAre(kBos, 104, 105, 106, 107)));
  EXPECT_EQ(text.scored_positions(), 8);
  EXPECT_THAT(text.bos, HasSubstr("before each window"));
}

TEST(Protocol, WindowsAreOf1024TokensWhereNobodySaysOtherwise) {
  const TextWindows text = cut(4 * 1024, std::nullopt, {});
  EXPECT_EQ(text.window_tokens, 1024);
  EXPECT_EQ(text.windows.size(), 4u);
  EXPECT_EQ(text.scored_positions(), 4 * 1023);
}

TEST(Protocol, Llamacpp512ScoresTheSecondHalfAndPutsBosOverTheFirstToken) {
  const TextWindows text = cut(1500, kBos, {.protocol = "llamacpp512", .windows = 2});
  EXPECT_EQ(text.window_tokens, 512);
  // The text begins with BOS, so its tokens are shifted by one; the second window loses its first token to BOS.
  EXPECT_EQ(text.windows[0][0], kBos);
  EXPECT_EQ(text.windows[0][1], 100);
  EXPECT_EQ(text.windows[0][511], 610);
  EXPECT_EQ(text.windows[1][0], kBos);
  EXPECT_EQ(text.windows[1][1], 612);
  EXPECT_EQ(text.windows[1][511], 1122);
  // Row 256 predicts token 257, row 510 token 511.
  EXPECT_EQ(text.first_row, 256);
  EXPECT_EQ(text.rows_per_window(), 255);
  EXPECT_EQ(text.scored_positions(), 510);
}

TEST(Protocol, Llamacpp512WithoutBosTakesTheTextAsItIs) {
  const TextWindows text = cut(1024, std::nullopt, {.protocol = "llamacpp512", .windows = 2});
  EXPECT_EQ(text.windows[0][0], 100);
  EXPECT_EQ(text.windows[1][0], 612);
}

TEST(Protocol, Gptq2048HasBosOnceAndScoresAllPositions) {
  const TextWindows text = cut(5000, kBos, {.protocol = "gptq2048", .windows = 2});
  EXPECT_EQ(text.window_tokens, 2048);
  EXPECT_EQ(text.windows[0][0], kBos);
  EXPECT_EQ(text.windows[0][1], 100);
  EXPECT_EQ(text.windows[1][0], 100 + 2047);
  EXPECT_EQ(text.first_row, 0);
  EXPECT_EQ(text.rows_per_window(), 2047);
}

TEST(Protocol, NoNumberOfWindowsMeansAllThatAreWhole) {
  EXPECT_EQ(cut(23, std::nullopt, {.window_tokens = 5, .windows = 0}).windows.size(), 4u);
  EXPECT_EQ(cut(8, kBos, {.window_tokens = 5, .windows = 0}).windows.size(), 2u);
}

TEST(Protocol, WhatCannotBeCutIsRefusedWithNumbers) {
  EXPECT_THAT(refusal(14, {.window_tokens = 5, .windows = 3}),
              AllOf(HasSubstr("has 2 windows of 5"), HasSubstr("14 tokens"), HasSubstr("wanted are 3")));
  EXPECT_THAT(refusal(4, {.window_tokens = 5, .windows = 0}), HasSubstr("has 0 windows"));
  EXPECT_THAT(refusal(9999, {.protocol = "llamacpp512", .window_tokens = 256}),
              AllOf(HasSubstr("256"), HasSubstr("512")));
  EXPECT_THAT(refusal(9, {.window_tokens = 1, .windows = 1}), HasSubstr("at least 2"));
  EXPECT_THAT(refusal(9, {.protocol = "wiki"}), AllOf(HasSubstr("\"wiki\""), HasSubstr("gptq2048")));
}

TEST(Protocol, TheDigestIsOfTheTokensThatAreUsed) {
  // sha256 of 64 00 00 00 65 00 00 00, as any tool computes it.
  const std::string two = cut(2, std::nullopt, {.window_tokens = 2, .windows = 1}).sha256();
  EXPECT_EQ(two, cut(3, std::nullopt, {.window_tokens = 2, .windows = 1}).sha256()) << "the third is not used";
  EXPECT_NE(two, cut(4, std::nullopt, {.window_tokens = 2, .windows = 2}).sha256());
  EXPECT_EQ(two, "1fda258a45d5e71c224df9840ed6c7b151747473a2a3fa741d1af823d2705c58");
}

TEST(Protocol, ATokenizerSaysWhetherThereIsABos) {
  const std::unique_ptr<Tokenizer> tokenizer = fake_tokenizer();
  const std::string words = "the king and the queen and the knight";
  const absl::StatusOr<TextWindows> text = cut_windows(*tokenizer, words, {.window_tokens = 4, .windows = 2});
  ASSERT_TRUE(text.ok()) << text.status();
  const std::vector<TokenId> plain = tokenizer->encode(words);
  ASSERT_EQ(tokenizer->adds_bos(), text->windows[0][0] == kFakeBos);
  const size_t shift = tokenizer->adds_bos() ? 1 : 0;
  EXPECT_EQ(text->windows[0][shift], plain[0]);
  EXPECT_EQ(text->windows[1][shift], plain[4 - shift]);
}

}  // namespace
}  // namespace halftone
