// Divergences, errors and quantiles against sums that are written out.
#include "lab/statistics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace halftone {
namespace {

using testing::DoubleNear;
using testing::ElementsAre;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

// Logits of probabilities, shifted: a shift changes no distribution.
std::vector<float> logits_of(const std::vector<double>& probabilities, double shift) {
  std::vector<float> logits;
  for (double p : probabilities) logits.push_back(static_cast<float>(std::log(p) + shift));
  return logits;
}

PositionQuality compared(const std::vector<float>& reference, const std::vector<float>& mode, int32_t target) {
  ReferenceRow row;
  EXPECT_TRUE(row.assign(reference));
  return compare_row(row, mode, target);
}

TEST(Statistics, OnePositionByHand) {
  const std::vector<float> p = logits_of({0.5, 0.25, 0.25}, 3), q = logits_of({0.25, 0.5, 0.25}, -1);
  const PositionQuality position = compared(p, q, 2);
  EXPECT_NEAR(position.kl, 0.5 * std::log(2.0) + 0.25 * std::log(0.5), 1e-6);
  EXPECT_NEAR(position.nll, std::log(4.0), 1e-6);
  EXPECT_NEAR(position.reference_nll, std::log(4.0), 1e-6);
  EXPECT_FALSE(position.top1);
  EXPECT_TRUE(position.finite);
}

TEST(Statistics, TheDivergenceIsOfTheModeFromTheReferenceAndNotTheOtherWay) {
  const std::vector<float> p = logits_of({0.9, 0.1}, 0), q = logits_of({0.5, 0.5}, 0);
  EXPECT_NEAR(compared(p, q, 0).kl, 0.9 * std::log(1.8) + 0.1 * std::log(0.2), 1e-6);
  EXPECT_NEAR(compared(q, p, 0).kl, 0.5 * std::log(0.5 / 0.9) + 0.5 * std::log(5.0), 1e-6);
}

TEST(Statistics, EqualLogitsAreExactlyZeroApart) {
  std::vector<float> row;
  for (int i = 0; i < 1000; ++i) row.push_back(static_cast<float>(std::sin(i) * 9));
  const PositionQuality position = compared(row, row, 7);
  EXPECT_EQ(position.kl, 0);
  EXPECT_EQ(position.nll, position.reference_nll);
  EXPECT_TRUE(position.top1);
}

TEST(Statistics, OfEqualLogitsTheLowestIdIsTheMostProbable) {
  EXPECT_TRUE(compared({1, 2, 2}, {0, 5, 5}, 0).top1);
  EXPECT_FALSE(compared({1, 2, 2}, {0, 5, 6}, 0).top1);
}

TEST(Statistics, WhatTheReferenceExcludesCountsNothing) {
  EXPECT_NEAR(compared({0, -kInfinity}, {0, 0}, 0).kl, std::log(2.0), 1e-7);
  EXPECT_EQ(compared({0, -kInfinity}, {1, -kInfinity}, 0).kl, 0);
}

TEST(Statistics, WhatTheModeAloneExcludesIsInfinitelyFar) {
  const PositionQuality position = compared({0, 0}, {0, -kInfinity}, 0);
  EXPECT_EQ(position.kl, static_cast<double>(kInfinity));
  EXPECT_TRUE(position.finite) << "its distribution is one";
}

TEST(Statistics, ARowThatIsNoDistributionIsInfinitelyFarAndAgreesWithNothing) {
  for (const std::vector<float>& row :
       {std::vector<float>{kNaN, 1}, {1, kNaN}, {kInfinity, 1}, {-kInfinity, -kInfinity}}) {
    const PositionQuality position = compared({2, 1}, row, 0);
    EXPECT_FALSE(position.finite);
    EXPECT_FALSE(position.top1);
    EXPECT_EQ(position.kl, static_cast<double>(kInfinity));
    EXPECT_EQ(position.nll, static_cast<double>(kInfinity));
    ReferenceRow reference;
    EXPECT_FALSE(reference.assign(row));
  }
}

TEST(Statistics, MeanAndItsErrorByHand) {
  const std::vector<double> values = {1, 2, 3, 6};
  const Mean mean = mean_of(values);
  EXPECT_DOUBLE_EQ(mean.value, 3);
  EXPECT_DOUBLE_EQ(mean.standard_error, std::sqrt((4.0 + 1 + 0 + 9) / 3 / 4));
  EXPECT_EQ(mean_of(std::vector<double>{5}).standard_error, 0);
}

TEST(Statistics, QuantilesLieBetweenNeighbours) {
  const std::vector<double> sorted = {0, 10, 20, 40};
  EXPECT_DOUBLE_EQ(quantile(sorted, 0), 0);
  EXPECT_DOUBLE_EQ(quantile(sorted, 0.5), 15);
  EXPECT_DOUBLE_EQ(quantile(sorted, 0.9), 34);
  EXPECT_DOUBLE_EQ(quantile(sorted, 1), 40);
  const double infinity = static_cast<double>(kInfinity);
  EXPECT_EQ(quantile(std::vector<double>{1, infinity, infinity}, 0.9), infinity);
  EXPECT_EQ(quantile(std::vector<double>{7}, 0.99), 7);
}

TEST(Statistics, ATextByHand) {
  QualityStatistics statistics;
  statistics.begin_window();
  statistics.add({.nll = 1, .reference_nll = 1.5, .kl = 0.2, .top1 = true});
  statistics.add({.nll = 3, .reference_nll = 2.5, .kl = 0.1, .top1 = true});
  statistics.begin_window();
  statistics.add({.nll = 2, .reference_nll = 1.0, .kl = 0.6, .top1 = false});
  statistics.add({.nll = 4, .reference_nll = 3.0, .kl = 0.3, .top1 = true});
  const ModeQuality q = statistics.summary();
  EXPECT_EQ(q.positions, 4);
  EXPECT_EQ(q.not_finite, 0);
  EXPECT_DOUBLE_EQ(q.perplexity, std::exp(2.5));
  EXPECT_DOUBLE_EQ(q.perplexity_standard_error, std::exp(2.5) * std::sqrt((2.25 + 0.25 + 0.25 + 2.25) / 3 / 4));
  EXPECT_DOUBLE_EQ(q.reference_perplexity, std::exp(2.0));
  EXPECT_DOUBLE_EQ(q.ratio, std::exp(0.5));
  EXPECT_NEAR(q.ratio_standard_error, std::exp(0.5) * std::sqrt((1 + 0 + 0.25 + 0.25) / 3 / 4), 1e-12);
  EXPECT_DOUBLE_EQ(q.kl_mean, 0.3);
  EXPECT_NEAR(q.kl_standard_error, std::sqrt((0.01 + 0.04 + 0.09 + 0) / 3 / 4), 1e-12);
  EXPECT_DOUBLE_EQ(q.kl_median, 0.25);
  EXPECT_NEAR(q.kl_p99, 0.3 + 0.97 * 0.3, 1e-12);
  EXPECT_DOUBLE_EQ(q.kl_max, 0.6);
  EXPECT_DOUBLE_EQ(q.top1, 0.75);
  EXPECT_DOUBLE_EQ(q.top1_standard_error, std::sqrt(0.75 * 0.25 / 4));
  EXPECT_THAT(q.nll_per_window, ElementsAre(DoubleNear(2, 1e-12), DoubleNear(3, 1e-12)));
}

TEST(Statistics, OneBrokenPositionIsCountedAndNotHidden) {
  QualityStatistics statistics;
  statistics.begin_window();
  statistics.add({.nll = 1, .reference_nll = 1, .kl = 0.1, .top1 = true});
  statistics.add(compared({2, 1}, {kNaN, 1}, 0));
  const ModeQuality q = statistics.summary();
  EXPECT_EQ(q.not_finite, 1);
  EXPECT_TRUE(std::isinf(q.kl_mean));
  EXPECT_TRUE(std::isinf(q.kl_max));
  EXPECT_TRUE(std::isinf(q.perplexity));
  EXPECT_DOUBLE_EQ(q.top1, 0.5);
}

}  // namespace
}  // namespace halftone
