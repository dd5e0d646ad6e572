#include "server/scheduler/scheduler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/server/scheduler/driver.h"

namespace halftone {
namespace {

using ::testing::ElementsAre;

std::vector<SequenceId> ids(const StepPlan& plan) {
  std::vector<SequenceId> result;
  for (const PlannedSequence& planned : plan.sequences) result.push_back(planned.id);
  return result;
}

TEST(Scheduler, APromptIsComputedThenOneTokenAStep) {
  Driver driver(scheduler_config(8));
  const SequenceId id = driver.add(request(6, 20));
  StepPlan plan = driver.plan();
  ASSERT_EQ(plan.sequences.size(), 1u);
  EXPECT_EQ(plan.tokens, 6);
  EXPECT_EQ(plan.decode_sequences, 0);
  EXPECT_EQ(plan.sequences[0].first, 0);
  EXPECT_EQ(plan.sequences[0].count, 6);
  EXPECT_TRUE(plan.sequences[0].samples);
  EXPECT_THAT(plan.sequences[0].tokens, ElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_EQ(plan.sequences[0].pages.size(), 2u);
  driver.accept(plan);
  EXPECT_EQ(driver->state(id).generated_tokens, 1);

  plan = driver.plan();
  EXPECT_EQ(plan.decode_sequences, 1);
  EXPECT_EQ(plan.sequences[0].first, 6);
  EXPECT_THAT(plan.sequences[0].tokens, ElementsAre(1000));
  driver.accept(plan);
  EXPECT_EQ(driver->state(id).computed_tokens, 7);
}

TEST(Scheduler, DecodesComeFirstThenRunningPromptsThenNewOnes) {
  Driver driver(scheduler_config(64));
  const SequenceId a = driver.add(request(4, 40));
  driver.step();
  const SequenceId b = driver.add(request(20, 40, 100));
  EXPECT_THAT(ids(driver.step(0, 8)), ElementsAre(a, b));
  const SequenceId c = driver.add(request(20, 40, 200));
  const StepPlan plan = driver.step(0, 18);
  EXPECT_THAT(ids(plan), ElementsAre(a, b, c));
  EXPECT_EQ(plan.decode_sequences, 1);
  EXPECT_EQ(plan.sequences[1].first, 7);
  EXPECT_EQ(plan.sequences[1].count, 13);
  EXPECT_TRUE(plan.sequences[1].samples);
  EXPECT_EQ(plan.sequences[2].count, 4);
  EXPECT_FALSE(plan.sequences[2].samples);
  EXPECT_EQ(plan.tokens, 18);
}

TEST(Scheduler, ASpentBudgetStillGivesEachDecodeItsTokenAndPromptsTheirMinimum) {
  Driver driver(scheduler_config(64));
  for (int32_t i = 0; i < 4; ++i) driver.add(request(4, 40, 100 * i));
  driver.step();
  driver.add(request(20, 40, 900));
  const StepPlan plan = driver.step(0, 2, 3);
  EXPECT_EQ(plan.decode_sequences, 4);
  EXPECT_EQ(plan.tokens, 7);
  EXPECT_EQ(plan.sequences.back().count, 3);
  EXPECT_EQ(driver.step(0, 0, 0).tokens, 4);
}

TEST(Scheduler, AStepHasOneModeOnly) {
  Driver driver(scheduler_config(16, {4, 8}));
  SequenceSpec other = request(9, 20);
  other.mode = 1;
  const SequenceId a = driver.add(request(9, 20)), b = driver.add(other);
  EXPECT_THAT(ids(driver.step(0)), ElementsAre(a));
  const StepPlan plan = driver.step(1);
  EXPECT_THAT(ids(plan), ElementsAre(b));
  EXPECT_EQ(plan.mode, 1);
  EXPECT_EQ(plan.sequences[0].pages.size(), 2u);
  EXPECT_EQ(driver->pages_of(0), 3);
  EXPECT_EQ(driver->pages_of(1), 2);
  EXPECT_EQ(driver->running(0), 1);
  EXPECT_EQ(driver->running(1), 1);
}

TEST(Scheduler, WhatNeverFitsIsRefusedAndWhatJustFitsIsNot) {
  Driver driver(scheduler_config(4));
  EXPECT_EQ(driver->add(request(3, 17), 0), std::nullopt);
  const SequenceId id = driver.add(request(3, 16));
  driver.limit(id, 16);
  for (int i = 0; i < 40 && driver->alive(id); ++i) driver.step();
  EXPECT_FALSE(driver->alive(id));
}

TEST(Scheduler, WaitingTokensAreThoseThatHaveToBeComputed) {
  Driver driver(scheduler_config(64));
  driver.add(request(6, 8));
  EXPECT_EQ(driver->waiting_tokens(0), 6);
  driver.add(request(4, 8));
  EXPECT_EQ(driver->waiting_tokens(0), 10);
  EXPECT_EQ(driver->waiting(0), 2);
  driver.step();
  EXPECT_EQ(driver->waiting_tokens(0), 0);
}

TEST(Scheduler, NoMoreRunThanAllowed) {
  SchedulerConfig config = scheduler_config(64);
  config.max_running = 2;
  Driver driver(config);
  for (int32_t i = 0; i < 3; ++i) driver.limit(driver.add(request(4, 8, 100 * i)), 6);
  EXPECT_EQ(driver.step().sequences.size(), 2u);
  EXPECT_EQ(driver->waiting(0), 1);
  for (int i = 0; i < 3; ++i) driver.step();
  EXPECT_EQ(driver->running(0), 1);
  EXPECT_EQ(driver->waiting(0), 0);
}

TEST(Scheduler, ASharedPrefixIsComputedOnceAndCountedOnce) {
  Driver driver(scheduler_config(64));
  const SequenceId a = driver.add(request(13, 40));
  driver.step();
  const SequenceId b = driver.add(request(13, 40));
  const StepPlan plan = driver.step();
  ASSERT_EQ(plan.sequences.size(), 2u);
  EXPECT_EQ(plan.sequences[1].first, 12);
  EXPECT_EQ(plan.sequences[1].count, 1);
  EXPECT_EQ(plan.decode_sequences, 1);
  EXPECT_EQ(driver->state(a).cached_tokens, 0);
  EXPECT_EQ(driver->state(b).cached_tokens, 12);
  EXPECT_EQ(driver->prefix_cache_counts(0).queried_tokens, 26);
  EXPECT_EQ(driver->prefix_cache_counts(0).hit_tokens, 12);
  EXPECT_EQ(driver->pages_of(0), 5);
}

TEST(Scheduler, GeneratedTokensAreFoundByAContinuedConversation) {
  Driver driver(scheduler_config(64));
  const SequenceId a = driver.add(request(6, 40));
  driver.limit(a, 10);
  std::vector<int32_t> text = request(6, 40).prompt;
  while (driver->alive(a)) {
    const StepPlan plan = driver.step();
    text.push_back(1000 + static_cast<int32_t>(plan.sequences[0].first));
  }
  SequenceSpec next;
  text.resize(10);
  text.insert(text.end(), {7, 7, 7});
  next.prompt = text;
  next.max_tokens = 40;
  const SequenceId b = driver.add(next);
  driver.step();
  EXPECT_EQ(driver->state(b).cached_tokens, 8);
}

TEST(Scheduler, TwoThatComputedTheSamePromptTogetherShareItAfterwards) {
  Driver driver(scheduler_config(64));
  driver.add(request(13, 40));
  driver.add(request(13, 40));
  driver.step();
  EXPECT_EQ(driver->pages_of(0), 5);
  EXPECT_EQ(driver->page_counts().free, 59);
}

TEST(Scheduler, ScoresComputeEveryTokenAndEndWithoutOne) {
  Driver driver(scheduler_config(64));
  driver.add(request(13, 40));
  driver.step();
  SequenceSpec score = request(13, 13);
  score.use_prefix_cache = false;
  const SequenceId id = driver.add(score);
  driver.limit(id, 13);
  const StepPlan plan = driver.step(0, 8);
  EXPECT_EQ(plan.sequences[1].first, 0);
  EXPECT_EQ(driver->prefix_cache_counts(0).queried_tokens, 13);
  driver.step();
  EXPECT_FALSE(driver->alive(id));
}

TEST(Scheduler, AWaitingOneIsCancelledAtOnce) {
  Driver driver(scheduler_config(64));
  const SequenceId id = driver.add(request(6, 20));
  driver->cancel(id);
  EXPECT_FALSE(driver->alive(id));
  EXPECT_EQ(driver->waiting(0), 0);
  EXPECT_EQ(driver->waiting_tokens(0), 0);
  EXPECT_FALSE(driver->has_work(0));
  driver->check_invariants();
}

TEST(Scheduler, ARunningOneIsCancelledBetweenStepsAtOnce) {
  Driver driver(scheduler_config(64));
  const SequenceId id = driver.add(request(6, 20));
  driver.step();
  driver->cancel(id);
  EXPECT_EQ(driver->page_counts().used, 0);
  EXPECT_EQ(driver->page_counts().cached, 1);
  driver->cancel(id);
  driver->check_invariants();
}

TEST(Scheduler, PagesOfAStepInFlightAreKeptUntilItIsAccepted) {
  Driver driver(scheduler_config(64));
  const SequenceId a = driver.add(request(6, 20)), b = driver.add(request(6, 20, 100));
  const StepPlan plan = driver.plan();
  driver->cancel(a);
  driver->check_invariants();
  EXPECT_FALSE(driver->alive(a));
  EXPECT_EQ(driver->running(0), 1);
  EXPECT_EQ(driver->page_counts().used, 4);
  EXPECT_THAT(plan.sequences[0].tokens, ElementsAre(0, 1, 2, 3, 4, 5));
  driver.accept(plan);
  EXPECT_EQ(driver->page_counts().used, 2);
  EXPECT_EQ(driver->page_counts().cached, 0) << "nothing of a cancelled step is shared";
  EXPECT_TRUE(driver->alive(b));
}

TEST(Scheduler, AnEndedOneLeavesItsFullPagesInTheCache) {
  Driver driver(scheduler_config(8));
  const SequenceId id = driver.add(request(9, 20));
  driver.limit(id, 9);
  driver.step();
  EXPECT_FALSE(driver->alive(id));
  EXPECT_EQ(driver->page_counts().cached, 2);
  EXPECT_EQ(driver->page_counts().free, 6);
  driver->drop_cache();
  EXPECT_EQ(driver->page_counts().free, 8);
  driver->check_invariants();
}

TEST(Scheduler, SaysWhoWasEverScheduled) {
  SchedulerConfig config = scheduler_config(64);
  config.max_running = 1;
  Driver driver(config);
  const SequenceId a = driver.add(request(4, 8)), b = driver.add(request(4, 8, 100));
  driver.limit(a, 5);
  EXPECT_FALSE(driver->state(a).was_scheduled);
  driver.step();
  EXPECT_TRUE(driver->state(a).was_scheduled);
  EXPECT_FALSE(driver->state(b).was_scheduled);
  driver.step();
  driver.step();
  EXPECT_TRUE(driver->state(b).was_scheduled);
}

TEST(Scheduler, AModeThatCanDoNothingSaysSoUntilSomethingChanges) {
  SchedulerConfig config = scheduler_config(64, {4, 4});
  config.max_running = 1;
  Driver driver(config);
  SequenceSpec other = request(4, 8);
  other.mode = 1;
  const SequenceId a = driver.add(request(4, 8));
  driver.add(other);
  driver.step(0);
  EXPECT_TRUE(driver->has_work(1));
  EXPECT_TRUE(driver.step(1).empty());
  EXPECT_FALSE(driver->has_work(1));
  EXPECT_TRUE(driver->has_work(0));
  driver->cancel(a);
  EXPECT_TRUE(driver->has_work(1));
  EXPECT_FALSE(driver.step(1).empty());
}

TEST(SchedulerDeath, AStepMustBeAcceptedBeforeTheNextIsPlanned) {
  Driver driver(scheduler_config(8));
  driver.add(request(4, 8));
  const StepPlan plan = driver.plan();
  EXPECT_DEATH(driver.plan(), "broken promise");
}

TEST(SchedulerDeath, ResultsMustBeThoseOfThePlan) {
  Driver driver(scheduler_config(8));
  const SequenceId id = driver.add(request(4, 8));
  const StepPlan plan = driver.plan();
  const std::vector<StepResult> wrong{{.id = id + 1, .has_token = true}}, none{{.id = id}};
  EXPECT_DEATH(driver->accept(plan, wrong), "broken promise");
  EXPECT_DEATH(driver->accept(plan, none), "broken promise");
  EXPECT_DEATH(driver->accept(plan, {}), "broken promise");
}

}  // namespace
}  // namespace halftone
