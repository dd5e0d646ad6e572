#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "server/text/stop_strings.h"
#include "server/text/utf8_stream.h"

namespace halftone {
namespace {

const char kReplacement[] = "\xef\xbf\xbd";

std::string pushed_in_pieces(const std::string& bytes, size_t size) {
  Utf8Stream stream;
  std::string text;
  for (size_t at = 0; at < bytes.size(); at += size) text += stream.push(bytes.substr(at, size));
  return text + stream.flush();
}

TEST(Utf8Stream, HoldsBackHalfACharacter) {
  Utf8Stream stream;
  EXPECT_EQ(stream.push("a\xf0\x9f"), "a");
  EXPECT_FALSE(stream.empty());
  EXPECT_EQ(stream.push("\x99"), "");
  EXPECT_EQ(stream.push("\x82z"), "\xf0\x9f\x99\x82z");
  EXPECT_TRUE(stream.empty());
  EXPECT_EQ(stream.flush(), "");
}

TEST(Utf8Stream, ReplacesEachMaximalBrokenPartOnce) {
  const std::string r = kReplacement;
  EXPECT_EQ(utf8_with_replacement("\xff\xfe"), r + r);
  EXPECT_EQ(utf8_with_replacement("\xe6\x97(\xc3"), r + "(" + r);
  EXPECT_EQ(utf8_with_replacement("\xf0\x9f\x99"), r);
  EXPECT_EQ(utf8_with_replacement("\xc0\xaf"), r + r);                  // overlong
  EXPECT_EQ(utf8_with_replacement("\xe0\x80\xaf"), r + r + r);          // overlong
  EXPECT_EQ(utf8_with_replacement("\xed\xa0\x80"), r + r + r);          // surrogate
  EXPECT_EQ(utf8_with_replacement("\xf4\x90\x80\x80"), r + r + r + r);  // beyond U+10FFFF
  EXPECT_EQ(utf8_with_replacement("\xf0\x9f\xf0\x9f\x99\x82"), r + "\xf0\x9f\x99\x82");
}

TEST(Utf8Stream, TheResultDoesNotDependOnThePieces) {
  std::mt19937 random(1);
  const std::string parts[] = {"a",        " ",        "\xc3\xa9", "\xe6\x97\xa5", "\xf0\x9f\x99\x82", "\xc3",
                               "\xe6\x97", "\xf0\x9f", "\x80",     "\xff",         "\xed\xa0",         "\xf4\x90"};
  for (int round = 0; round < 500; ++round) {
    std::string bytes;
    for (int i = 0; i < 12; ++i) bytes += parts[random() % std::size(parts)];
    const std::string whole = utf8_with_replacement(bytes);
    for (size_t size = 1; size <= 4; ++size) EXPECT_EQ(pushed_in_pieces(bytes, size), whole);
  }
}

TEST(Utf8Stream, DropsOneLeadingSpaceWhereAsked) {
  Utf8Stream stream(true);
  EXPECT_EQ(stream.push(""), "");
  EXPECT_EQ(stream.push("  a"), " a");
  EXPECT_EQ(stream.push(" b"), " b");
  Utf8Stream other(true);
  EXPECT_EQ(other.push("a b"), "a b");
  EXPECT_EQ(Utf8Stream().push(" a"), " a");
}

// What a matcher says of the whole text, for comparison: by looking at every end in turn.
struct Expected {
  std::string text;
  std::optional<size_t> matched;
};

Expected by_looking(const std::string& text, const std::vector<std::string>& stops) {
  for (size_t end = 1; end <= text.size(); ++end) {
    std::optional<size_t> best;
    for (size_t i = 0; i < stops.size(); ++i) {
      const bool ends_here = !stops[i].empty() && text.substr(0, end).ends_with(stops[i]);
      if (ends_here && (!best || stops[i].size() > stops[*best].size())) best = i;
    }
    if (best) return {text.substr(0, end - stops[*best].size()), best};
  }
  return {text, std::nullopt};
}

TEST(StopStrings, CutsAtTheMatchAndSaysWhich) {
  StopStrings stops({"END", "\n\n"});
  const auto result = stops.push("some text\n\nmore END");
  EXPECT_EQ(result.text, "some text");
  EXPECT_EQ(result.matched, 1u);
  EXPECT_EQ(stops.stop(1), "\n\n");
}

TEST(StopStrings, HoldsBackOnlyWhatMayStillMatch) {
  StopStrings stops({"</s>"});
  EXPECT_EQ(stops.push("a <").text, "a ");
  EXPECT_EQ(stops.held(), 1u);
  EXPECT_EQ(stops.push("/").text, "");
  EXPECT_EQ(stops.push("x").text, "</x");
  EXPECT_EQ(stops.held(), 0u);
  EXPECT_EQ(stops.push("<</s").text, "<");
  EXPECT_EQ(stops.flush(), "</s");
}

TEST(StopStrings, FindsAMatchThatBeginsInsideAFailedOne) {
  StopStrings stops({"aab"});
  EXPECT_EQ(stops.push("aa").text, "");
  EXPECT_EQ(stops.push("a").text, "a");
  const auto result = stops.push("b");
  EXPECT_EQ(result.text, "");
  EXPECT_EQ(result.matched, 0u);
}

TEST(StopStrings, NeverCutsACharacterInTwo) {
  StopStrings stops({"\xc3\xa9!"});
  EXPECT_EQ(stops.push("\xc3\xa8").text, "\xc3\xa8");
  EXPECT_EQ(stops.push("\xc3\xa9").text, "");
  EXPECT_EQ(stops.push("\xc3\xa9").text, "\xc3\xa9");
}

TEST(StopStrings, WithoutAnyTextPassesThrough) {
  StopStrings none({});
  EXPECT_EQ(none.push("abc").text, "abc");
  StopStrings empty({""});
  EXPECT_EQ(empty.push("abc").text, "abc");
  EXPECT_EQ(empty.flush(), "");
}

TEST(StopStrings, TheResultDoesNotDependOnThePieces) {
  std::mt19937 random(2);
  const auto word = [&](size_t size) {
    std::string text;
    for (size_t i = 0; i < size; ++i) text += static_cast<char>('a' + random() % 2);
    return text;
  };
  int matches = 0;
  for (int round = 0; round < 2000; ++round) {
    std::vector<std::string> patterns;
    for (size_t i = 0; i < 1 + random() % 3; ++i) patterns.push_back(word(1 + random() % 6));
    const std::string text = word(20);
    const Expected expected = by_looking(text, patterns);
    StopStrings stops(patterns);
    std::string shown;
    std::optional<size_t> matched;
    for (size_t at = 0; at < text.size() && !matched;) {
      const size_t size = 1 + random() % 4;
      const auto result = stops.push(text.substr(at, size));
      shown += result.text;
      matched = result.matched;
      at += size;
    }
    if (!matched) shown += stops.flush();
    EXPECT_EQ(shown, expected.text);
    ASSERT_EQ(matched.has_value(), expected.matched.has_value());
    if (matched) {
      EXPECT_EQ(patterns[*matched], patterns[*expected.matched]);
    }
    matches += matched.has_value();
  }
  EXPECT_GT(matches, 500);
}

TEST(StopStrings, IsLinearInALongText) {
  StopStrings stops({std::string(256, 'a') + "b"});
  const std::string text(1 << 16, 'a');
  size_t shown = 0;
  for (int i = 0; i < 64; ++i) shown += stops.push(text).text.size();
  EXPECT_EQ(shown + stops.held(), 64 * text.size());
  EXPECT_EQ(stops.held(), 256u);
}

}  // namespace
}  // namespace halftone
