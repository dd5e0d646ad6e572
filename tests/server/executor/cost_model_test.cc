#include "server/executor/cost_model.h"

#include <gtest/gtest.h>

namespace halftone {
namespace {

constexpr Nanoseconds kMillisecond = 1'000'000;

CostModel calibrated() {
  CostModel model;
  model.calibrate(10 * kMillisecond, 57 * kMillisecond, 48);  // 9 + 1 ms for each token
  return model;
}

TEST(CostModel, GoesThroughTheTwoStepsThatItWasMadeOf) {
  const CostModel model = calibrated();
  EXPECT_NEAR(static_cast<double>(model.step_time(1)), 10e6, 1);
  EXPECT_NEAR(static_cast<double>(model.step_time(48)), 57e6, 1);
  EXPECT_NEAR(static_cast<double>(model.step_time(100)), 109e6, 1);
}

TEST(CostModel, MoreTokensNeverTakeLessTime) {
  for (CostModel model : {CostModel(), calibrated()}) {
    for (int64_t tokens = 1; tokens < 600; ++tokens) EXPECT_LT(model.step_time(tokens), model.step_time(tokens + 1));
  }
}

TEST(CostModel, ABudgetBuysWhatAStepOfThatTimeHolds) {
  const CostModel model = calibrated();
  EXPECT_EQ(model.tokens_for(59'500'000), 50);
  for (Nanoseconds budget = kMillisecond; budget < 200 * kMillisecond; budget += kMillisecond) {
    const int64_t tokens = model.tokens_for(budget);
    EXPECT_GE(tokens, 1);
    EXPECT_LE(tokens, model.tokens_for(budget + kMillisecond));
    if (tokens > 1) {
      EXPECT_LE(model.step_time(tokens), budget + 1);
    }
    EXPECT_GT(model.step_time(tokens + 1), budget - 1);
  }
}

TEST(CostModel, NoBudgetStillBuysOneToken) {
  EXPECT_EQ(calibrated().tokens_for(0), 1);
  EXPECT_EQ(calibrated().tokens_for(-5), 1);
  EXPECT_GE(calibrated().tokens_for(INT64_MAX), 100000) << "and no overflow";
}

TEST(CostModel, ALargeStepThatWasFasterThanASmallOneStillCostsSomething) {
  CostModel model;
  model.calibrate(50 * kMillisecond, 20 * kMillisecond, 48);
  EXPECT_LT(model.step_time(1), model.step_time(48));
  EXPECT_GT(model.step_time(1), 0);
  EXPECT_LT(model.tokens_for(1000 * kMillisecond), 100000);
}

TEST(CostModel, AClockThatStoodStillDoesNoHarm) {
  CostModel model;
  model.calibrate(0, 0, 48);
  EXPECT_GE(model.tokens_for(kMillisecond), 1);
  model.observe(5, 0);
  EXPECT_GE(model.tokens_for(kMillisecond), 1);
  EXPECT_GE(model.step_time(5), 0);
}

TEST(CostModel, StepsCorrectTheGuessSlowly) {
  CostModel model = calibrated();
  const Nanoseconds before = model.step_time(10);
  model.observe(10, 2 * before);
  EXPECT_NEAR(static_cast<double>(model.step_time(10)), 1.1 * static_cast<double>(before), 2);
  for (int i = 0; i < 200; ++i) model.observe(10, 2 * before);
  EXPECT_NEAR(static_cast<double>(model.step_time(10)), 2 * static_cast<double>(before), 1e-3 * 19e6);
}

TEST(CostModel, OneStepOfADisturbedMachineCountsAtMostFourfold) {
  CostModel slow = calibrated(), fast = calibrated();
  const double guess = static_cast<double>(slow.step_time(10));
  slow.observe(10, 3600'000 * kMillisecond);
  fast.observe(10, 0);
  EXPECT_NEAR(static_cast<double>(slow.step_time(10)), 1.3 * guess, 2);
  EXPECT_NEAR(static_cast<double>(fast.step_time(10)), 0.925 * guess, 2);
}

}  // namespace
}  // namespace halftone
