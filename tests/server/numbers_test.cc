// Seconds that become nanoseconds, and the table of ranges.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "server/durations.h"
#include "server/ranges.h"

namespace halftone {
namespace {

constexpr int64_t kEnd = std::numeric_limits<int64_t>::max();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

TEST(Durations, SecondsBecomeNanoseconds) {
  EXPECT_EQ(saturated_nanoseconds(0), 0);
  EXPECT_EQ(saturated_nanoseconds(1.5), 1'500'000'000);
  EXPECT_EQ(saturated_nanoseconds(-0.25), -250'000'000);
  EXPECT_EQ(saturated_nanoseconds(9e9), 9'000'000'000'000'000'000);
}

TEST(Durations, WhatDoesNotFitSaturates) {
  for (double seconds : {9.3e9, 1.08e10, 1e300, kInfinity}) EXPECT_EQ(saturated_nanoseconds(seconds), kEnd) << seconds;
  for (double seconds : {-9.3e9, -1e300, -kInfinity}) EXPECT_EQ(saturated_nanoseconds(seconds), -kEnd - 1) << seconds;
  EXPECT_EQ(saturated_nanoseconds(std::nan("")), 0);
}

TEST(Durations, SumsSaturate) {
  EXPECT_EQ(saturated_sum(5, 7), 12);
  EXPECT_EQ(saturated_sum(5, -7), -2);
  EXPECT_EQ(saturated_sum(5, kEnd), kEnd);
  EXPECT_EQ(saturated_sum(-5, -kEnd), -kEnd - 1);
}

TEST(Ranges, EndsAreOpenOrClosed) {
  EXPECT_TRUE(ranges::kTopP.contains(1));
  EXPECT_FALSE(ranges::kTopP.contains(0));
  EXPECT_TRUE(ranges::kMinP.contains(0));
  EXPECT_FALSE(ranges::kMinP.contains(1));
  EXPECT_FALSE(ranges::kTemperature.contains(std::nan("")));
  EXPECT_EQ(ranges::kTopP.text(), "(0, 1]");
}

// "100 is outside [0, 100]" helps nobody.
TEST(Ranges, NumbersAreWrittenSoThatTheyDiffer) {
  EXPECT_EQ(number_text(std::nextafter(100.0f, 200.0f)), "100.00001");
  EXPECT_EQ(number_text(100.0001f), "100.0001");
  EXPECT_EQ(number_text(1.7f), "1.7");
  EXPECT_EQ(number_text(-3), "-3");
  EXPECT_EQ(number_text(4294967295u), "4294967295");
}

}  // namespace
}  // namespace halftone
