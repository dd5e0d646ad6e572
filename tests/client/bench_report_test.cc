#include "client/command/bench_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace halftone {
namespace {

TEST(Percentiles, LieBetweenNeighbours) {
  std::vector<double> values;
  for (int i = 100; i >= 0; --i) values.push_back(i);
  const Percentiles result = percentiles(values);
  EXPECT_DOUBLE_EQ(result.p50, 50);
  EXPECT_DOUBLE_EQ(result.p90, 90);
  EXPECT_DOUBLE_EQ(result.p99, 99);
  EXPECT_DOUBLE_EQ(result.max, 100);
  EXPECT_DOUBLE_EQ(result.mean, 50);
  EXPECT_DOUBLE_EQ(percentiles({1, 2}).p50, 1.5);
}

TEST(Percentiles, OfNothingAreZero) { EXPECT_EQ(percentiles({}).p99, 0); }

TEST(BenchSample, TokensOfOneMessageShareTheGapBeforeIt) {
  BenchSample sample;
  sample.add_tokens(1, 1.0);
  sample.add_tokens(1, 1.5);
  sample.add_tokens(2, 2.5);
  EXPECT_EQ(sample.first, 1.0);
  EXPECT_EQ(sample.end, 2.5);
  EXPECT_EQ(sample.generated_tokens, 4u);
  EXPECT_THAT(sample.gaps, testing::ElementsAre(0.5, 0.5, 0.5));
}

BenchReport two_good_and_one_bad() {
  BenchSample first, second, bad;
  first.begin = 0;
  first.prompt_tokens = second.prompt_tokens = 10;
  for (int i = 0; i < 5; ++i) first.add_tokens(1, 1 + 0.25 * i);
  second.begin = 1;
  for (int i = 0; i < 5; ++i) second.add_tokens(1, 2.5 + 0.25 * i);
  bad.error = "UNAVAILABLE";
  return summarize({"here", "tiny", "w4a16", 2, 10, 5, 1}, {first, second, bad}, 4);
}

TEST(BenchReport, CountsCompleteRequestsAndFailuresApart) {
  const BenchReport report = two_good_and_one_bad();
  EXPECT_EQ(report.completed, 2u);
  EXPECT_EQ(report.errors.at("UNAVAILABLE"), 1u);
  EXPECT_DOUBLE_EQ(report.ttft.mean, 1.25);
  EXPECT_DOUBLE_EQ(report.tpot.mean, 0.25);
  EXPECT_DOUBLE_EQ(report.inter_token.p99, 0.25);
  EXPECT_DOUBLE_EQ(report.total.max, 2.5);
  EXPECT_DOUBLE_EQ(report.generated_per_second(), 2.5);
  EXPECT_DOUBLE_EQ(report.prompt_per_second(), 5);
}

TEST(BenchReport, JsonHasTheSameNumbersInSeconds) {
  const auto json = nlohmann::json::parse(two_good_and_one_bad().json());
  EXPECT_EQ(json["requests_completed"], 2);
  EXPECT_EQ(json["ttft_seconds"]["mean"], 1.25);
  EXPECT_EQ(json["errors"]["UNAVAILABLE"], 1);
  EXPECT_EQ(json["generated_tokens_per_second"], 2.5);
}

TEST(BenchReport, ThePageNamesFailures) {
  EXPECT_THAT(two_good_and_one_bad().page(), testing::HasSubstr("failed with UNAVAILABLE: 1"));
}

}  // namespace
}  // namespace halftone
