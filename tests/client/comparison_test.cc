// Answers of several modes side by side.
#include "client/command/comparison.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/client/scripted_server.h"

namespace halftone {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// One token for each letter.
ModeAnswer answer_of(const std::string& mode, const std::string& text) {
  ModeAnswer answer;
  answer.mode.set_id(mode);
  for (char letter : text) answer.add(message_of(std::string(1, letter)));
  answer.add(message_of("", true));
  return answer;
}

TEST(FirstDifference, IsTheIndexOfTheFirstTokenThatIsAnother) {
  const ModeAnswer first = answer_of("bf16", "abcd");
  EXPECT_EQ(first_difference(first, answer_of("w4a8", "abcd")), std::nullopt);
  EXPECT_EQ(first_difference(first, answer_of("w4a8", "abxd")), 2u);
  EXPECT_EQ(first_difference(first, answer_of("w4a8", "xbcd")), 0u);
  EXPECT_EQ(first_difference(first, answer_of("w4a8", "ab")), 2u);
  EXPECT_EQ(first_difference(first, answer_of("w4a8", "abcde")), 4u);
  EXPECT_EQ(first_difference(answer_of("bf16", ""), answer_of("w4a8", "")), std::nullopt);
}

TEST(FirstDifference, TokensCountNotTheirText) {
  ModeAnswer first = answer_of("bf16", "ab"), other = answer_of("w4a8", "ab");
  other.tokens[1].set_id(7);
  EXPECT_EQ(first_difference(first, other), 1u);
}

TEST(DifferenceLine, HasThePieceOfEither) {
  const ModeAnswer first = answer_of("bf16", "abcd");
  EXPECT_EQ(difference_line(first, answer_of("w4a8", "abxd")), "token 2 is \"x\" where bf16 has \"c\"");
  EXPECT_EQ(difference_line(first, answer_of("w4a8", "ab")), "token 2 is its end where bf16 has \"c\"");
  EXPECT_EQ(difference_line(first, answer_of("w4a8", "abcd")), "the same 4 tokens as bf16");
}

TEST(ComparisonTable, HasTimesAndBytesOfEachMode) {
  ModeAnswer first = answer_of("bf16", "abcd"), other = answer_of("w4a8+kv8", "abxd");
  other.receipt.set_ttft_seconds(0.0125);
  other.receipt.set_tpot_seconds(0.02);
  other.receipt.set_peak_kv_bytes(3 << 20);
  other.mode.set_own_bytes(5 << 20);
  other.mode.set_kv_bytes_per_token(11880);
  other.mode.set_shared_bytes(7 << 20);
  const ModeAnswer answers[] = {first, other};
  std::istringstream lines(comparison_table(answers));
  std::string line;
  for (int i = 0; i < 4; ++i) std::getline(lines, line);
  std::istringstream cells(line);
  EXPECT_THAT(
      (std::vector<std::string>{std::istream_iterator<std::string>(cells), {}}),
      testing::ElementsAre("w4a8+kv8", "4", "2", "12.5", "20.0", "50.0", "5.00", "7.00", "11880", "3.00", "STOP"));
}

TEST(ComparisonJson, HasIdsDifferencesAndAnyBytes) {
  const ModeAnswer answers[] = {answer_of("bf16", "ab"), answer_of("w4a8", "a\xff"), answer_of("w8a8", "a")};
  const auto json = nlohmann::json::parse(comparison_json("why?", answers));
  EXPECT_EQ(json["prompt"], "why?");
  EXPECT_EQ(json["first_mode"], "bf16");
  ASSERT_EQ(json["answers"].size(), 3u);
  EXPECT_TRUE(json["answers"][0]["first_difference"].is_null());
  EXPECT_EQ(json["answers"][1]["first_difference"]["index"], 1);
  EXPECT_EQ(json["answers"][1]["first_difference"]["first_mode_piece"], "b");
  EXPECT_EQ(json["answers"][1]["token_ids"], (std::vector<int>{97, 255}));
  EXPECT_TRUE(json["answers"][2]["first_difference"]["piece"].is_null()) << "it ended";
}

}  // namespace
}  // namespace halftone
