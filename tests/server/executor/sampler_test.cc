// The choice among candidates: cuts, draws, what happens at the ends of the range.
#include "server/executor/sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "tests/server/executor/plain_sampler.h"

namespace halftone {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::Eq;
using testing::Field;
using testing::Optional;

// Descending candidates of a whole row, ids 0, 1, ... in the row's order.
std::vector<LogitCandidate> sorted(const std::vector<float>& logits) {
  std::vector<LogitCandidate> all;
  for (size_t id = 0; id < logits.size(); ++id) all.push_back({static_cast<int32_t>(id), logits[id]});
  std::stable_sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.logit > b.logit; });
  return all;
}

float sum_at(std::span<const LogitCandidate> all, float temperature) {
  const double best = static_cast<double>(all[0].logit) / static_cast<double>(temperature);
  double sum = 0;
  for (const LogitCandidate& c : all) {
    sum += std::exp(static_cast<double>(c.logit) / static_cast<double>(temperature) - best);
  }
  return static_cast<float>(best + std::log(sum));
}

// How often each index is chosen over so many seeds.
std::vector<int> histogram(SamplingParams params, std::span<const LogitCandidate> all, int draws) {
  std::vector<int> counts(all.size());
  const float sum = sum_at(all, params.temperature);
  for (int i = 0; i < draws; ++i) {
    params.seed = static_cast<uint64_t>(i) * 7919 + 3;
    std::optional<size_t> index = choose(params, i % 31, all, true, sum);
    EXPECT_TRUE(index.has_value());
    ++counts[index.value_or(0)];
  }
  return counts;
}

std::vector<int> chosen_ids(const std::vector<int>& counts) {
  std::vector<int> ids;
  for (size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] > 0) ids.push_back(static_cast<int>(i));
  }
  return ids;
}

const std::vector<float> kEight = {1.5f, 1.0f, 0.5f, 0.25f, 0.0f, -0.5f, -1.0f, -2.0f};

TEST(Draw, IsKeyedBySeedAndPositionAlone) {
  EXPECT_EQ(draw(1, 2), draw(1, 2));
  EXPECT_NE(draw(1, 2), draw(2, 1));
  EXPECT_NE(draw(1, 2), draw(1, 3));
  EXPECT_NE(draw(0, 0), draw(0, 1));
  EXPECT_NE(draw(0, 0), draw(1, 0));
}

TEST(Draw, IsUniformOverSeedsAndOverPositions) {
  for (bool over_seeds : {true, false}) {
    std::vector<int> bins(16);
    double mean = 0;
    for (uint64_t i = 0; i < 16000; ++i) {
      const double u = over_seeds ? draw(i, 5) : draw(5, static_cast<int64_t>(i));
      ASSERT_GE(u, 0);
      ASSERT_LT(u, 1);
      ++bins[static_cast<size_t>(u * 16)];
      mean += u / 16000;
    }
    double chi = 0;
    for (int count : bins) chi += (count - 1000) * (count - 1000) / 1000.0;
    EXPECT_LT(chi, 44.3) << "15 degrees of freedom, one in 10,000";
    EXPECT_NEAR(mean, 0.5, 0.01);
  }
}

TEST(Edits, AreOneForEachIdAscendingAndAMaskIsAlone) {
  SamplingParams params{.repetition_penalty = 1.5f, .presence_penalty = 0.5f, .frequency_penalty = 0.25f};
  params.logit_bias = {{7, 2}, {3, -1}, {100, 1}};  // the last is beyond the vocabulary
  const std::vector<TokenCount> counts = {{9, true, 0}, {7, false, 3}, {5, true, 1}};
  const std::vector<int32_t> banned = {5, -1};
  LogitRow row;
  row.sampling = &params;
  row.counts = counts;
  row.banned = banned;
  const std::vector<LogitEdit> edits = make_edits(row, 10);
  auto is = [](int32_t id, float repetition, float subtract, float add) {
    return AllOf(Field(&LogitEdit::id, id), Field(&LogitEdit::repetition, repetition),
                 Field(&LogitEdit::subtract, subtract), Field(&LogitEdit::add, add));
  };
  EXPECT_THAT(edits, ElementsAre(is(3, 1, 0, -1), is(5, 1, 0, -HUGE_VALF), is(7, 1.5f, 1.25f, 2), is(9, 1.5f, 0, 0)));
  params.repetition_penalty = 1;
  params.presence_penalty = params.frequency_penalty = 0;
  EXPECT_THAT(make_edits(row, 10), ElementsAre(is(3, 1, 0, -1), is(5, 1, 0, -HUGE_VALF), is(7, 1, 0, 2)));
}

TEST(Choose, IsTheBestAtTemperatureZero) {
  SamplingParams params;
  params.temperature = 0;
  EXPECT_THAT(choose(params, 3, sorted(kEight), true, 0), Optional(Eq(0u)));
}

TEST(Choose, FollowsTheSoftmaxOfTheLogits) {
  for (float temperature : {0.5f, 1.0f, 2.0f}) {
    SamplingParams params;
    params.temperature = temperature;
    const std::vector<LogitCandidate> all = sorted(kEight);
    const std::vector<int> counts = histogram(params, all, 40000);
    const double sum = static_cast<double>(sum_at(all, temperature));
    double chi = 0;
    for (size_t i = 0; i < counts.size(); ++i) {
      const double logit = static_cast<double>(all[i].logit) / static_cast<double>(temperature);
      const double expected = 40000 * std::exp(logit - sum);
      chi += (counts[i] - expected) * (counts[i] - expected) / expected;
    }
    EXPECT_LT(chi, 29.9) << "7 degrees of freedom, one in 10,000; temperature " << temperature;
  }
}

TEST(Choose, TopKKeepsTheKBest) {
  SamplingParams params;
  params.top_k = 3;
  EXPECT_THAT(chosen_ids(histogram(params, sorted(kEight), 4000)), ElementsAre(0, 1, 2));
  params.top_k = 1;
  EXPECT_THAT(chosen_ids(histogram(params, sorted(kEight), 100)), ElementsAre(0));
  params.top_k = 1000;
  EXPECT_EQ(chosen_ids(histogram(params, sorted(kEight), 20000)).size(), 8u);
}

// Probabilities 0.5, 0.25, 0.125, 0.125.
const std::vector<float> kHalves = {std::log(0.5f), std::log(0.25f), std::log(0.125f), std::log(0.125f)};

TEST(Choose, TopPKeepsTheFewestThatReachP) {
  SamplingParams params;
  params.top_p = 0.45f;
  EXPECT_THAT(chosen_ids(histogram(params, sorted(kHalves), 2000)), ElementsAre(0));
  params.top_p = 0.55f;
  EXPECT_THAT(chosen_ids(histogram(params, sorted(kHalves), 2000)), ElementsAre(0, 1));
  params.top_p = 0.8f;
  EXPECT_THAT(chosen_ids(histogram(params, sorted(kHalves), 2000)), ElementsAre(0, 1, 2));
  params.top_p = 1e-6f;
  EXPECT_THAT(chosen_ids(histogram(params, sorted(kHalves), 200)), ElementsAre(0)) << "never nothing";
}

TEST(Choose, MinPKeepsWhatIsNotTooFarBelowTheBest) {
  SamplingParams params;
  params.min_p = 0.4f;
  EXPECT_THAT(chosen_ids(histogram(params, sorted(kHalves), 2000)), ElementsAre(0, 1));
  params.min_p = 0.2f;
  EXPECT_THAT(chosen_ids(histogram(params, sorted(kHalves), 2000)), ElementsAre(0, 1, 2, 3));
  params.min_p = 1;
  EXPECT_THAT(chosen_ids(histogram(params, sorted(kHalves), 200)), ElementsAre(0));
}

TEST(Choose, TopPCountsWithinWhatTopKLeft) {
  SamplingParams params;
  params.top_k = 2;  // 2/3 and 1/3
  params.top_p = 0.6f;
  EXPECT_THAT(chosen_ids(histogram(params, sorted(kHalves), 2000)), ElementsAre(0));
  params.top_p = 0.7f;
  EXPECT_THAT(chosen_ids(histogram(params, sorted(kHalves), 2000)), ElementsAre(0, 1));
}

TEST(Choose, WhatACutLeavesIsRenormalized) {
  SamplingParams params;
  params.top_k = 2;
  const std::vector<int> counts = histogram(params, sorted(kHalves), 30000);
  EXPECT_NEAR(counts[0] / 30000.0, 2.0 / 3, 0.011) << "four standard deviations";
}

TEST(Choose, AgreesWithAPlainSamplerInDouble) {
  const std::vector<LogitCandidate> all = sorted(kEight);
  const std::vector<double> row(kEight.begin(), kEight.end());
  for (float temperature : {0.3f, 1.0f, 3.0f}) {
    for (uint32_t top_k : {0u, 2u, 5u}) {
      for (float top_p : {0.3f, 0.9f, 1.0f}) {
        for (float min_p : {0.0f, 0.1f, 0.5f}) {
          SamplingParams params{.temperature = temperature, .top_p = top_p, .top_k = top_k, .min_p = min_p};
          for (params.seed = 0; params.seed < 200; ++params.seed) {
            const std::optional<size_t> index = choose(params, 4, all, true, sum_at(all, temperature));
            ASSERT_EQ(all[index.value()].id, plain_sample(params, row, draw(params.seed, 4)))
                << temperature << " " << top_k << " " << top_p << " " << min_p << " seed " << params.seed;
          }
        }
      }
    }
  }
}

// A flat row of which the best few are known.
class BeyondTheCandidates : public testing::Test {
 protected:
  std::vector<LogitCandidate> all_ = sorted(std::vector<float>(1000, 0.5f));
  std::span<const LogitCandidate> best_{all_.data(), 256};
  float sum_ = sum_at(all_, 1);
};

TEST_F(BeyondTheCandidates, ADrawThereAsksForTheWholeRow) {
  SamplingParams params;
  int beyond = 0;
  for (params.seed = 0; params.seed < 2000; ++params.seed) {
    const std::optional<size_t> few = choose(params, 1, best_, false, sum_);
    const std::optional<size_t> whole = choose(params, 1, all_, true, sum_);
    ASSERT_TRUE(whole.has_value());
    EXPECT_EQ(few.has_value(), *whole < 256) << params.seed;
    if (few) {
      EXPECT_EQ(*few, *whole);
    }
    beyond += few ? 0 : 1;
  }
  EXPECT_NEAR(beyond / 2000.0, 0.744, 0.04);
}

TEST_F(BeyondTheCandidates, CutsThatEndWithinTheCandidatesDoNotAsk) {
  SamplingParams params{.top_p = 0.2f};
  EXPECT_TRUE(choose(params, 1, best_, false, sum_).has_value());
  params = {.top_k = 256};
  EXPECT_TRUE(choose(params, 1, best_, false, sum_).has_value());
}

TEST_F(BeyondTheCandidates, CutsThatReachFurtherAsk) {
  SamplingParams params{.top_p = 0.3f};
  EXPECT_FALSE(choose(params, 1, best_, false, sum_).has_value());
  params = {.top_k = 257};
  EXPECT_FALSE(choose(params, 1, best_, false, sum_).has_value());
  params = {.min_p = 0.5f};
  EXPECT_FALSE(choose(params, 1, best_, false, sum_).has_value());
}

TEST(Extremes, ATinyTemperatureTakesTheBest) {
  // The sum of such a row is a float of 30,000: the mass it stands for is off by a thousandth.
  const std::vector<LogitCandidate> all = sorted({30.0f, 29.0f, 3.0f, -8.0f});
  for (float error : {-0.002f, 0.0f, 0.002f}) {
    SamplingParams params{.temperature = 1e-3f};
    const float sum = sum_at(all, params.temperature) + error;
    for (params.seed = 0; params.seed < 20000; ++params.seed) {
      ASSERT_THAT(choose(params, 9, all, true, sum), Optional(Eq(0u))) << params.seed;
    }
  }
}

TEST(Extremes, AHugeTemperatureIsNearlyFlat) {
  SamplingParams params{.temperature = 1e3f};
  for (int count : histogram(params, sorted({9.0f, 3.0f, 0.0f, -30.0f}), 20000)) EXPECT_NEAR(count, 5000, 350);
}

TEST(Extremes, WhatIsForbiddenIsNeverDrawn) {
  const float never = -HUGE_VALF;
  const std::vector<LogitCandidate> all = sorted({2.0f, 1.0f, 0.0f, never, never});
  for (float temperature : {1e-3f, 1.0f, 1e3f}) {
    for (float error : {-1e-3f, 0.0f, 1e-3f}) {  // of the sum
      SamplingParams params{.temperature = temperature};
      const float sum = sum_at(all, temperature) + error;
      for (params.seed = 0; params.seed < 20000; ++params.seed) {
        const std::optional<size_t> index = choose(params, 2, all, true, sum);
        ASSERT_TRUE(index.has_value());
        ASSERT_LT(*index, 3u) << "temperature " << temperature << ", seed " << params.seed;
      }
    }
  }
}

TEST(Extremes, WhereEverythingIsForbiddenSomethingComesBack) {
  const std::vector<LogitCandidate> all = sorted(std::vector<float>(4, -HUGE_VALF));
  const std::optional<size_t> index = choose(SamplingParams{}, 2, all, true, -HUGE_VALF);
  ASSERT_TRUE(index.has_value());
  EXPECT_LT(*index, all.size());
}

}  // namespace
}  // namespace halftone
