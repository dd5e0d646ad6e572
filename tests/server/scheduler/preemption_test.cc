#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/server/scheduler/driver.h"

namespace halftone {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(Preemption, TheYoungestIsPreemptedWhenPagesRunOut) {
  Driver driver(scheduler_config(4));
  const SequenceId a = driver.add(request(8, 16)), b = driver.add(request(7, 16, 100));
  driver.step();
  EXPECT_EQ(driver->page_counts().free, 0);
  const StepPlan plan = driver.step();
  EXPECT_THAT(plan.preempted, ElementsAre(b));
  EXPECT_EQ(plan.sequences.size(), 1u);
  EXPECT_TRUE(driver->state(b).waiting);
  EXPECT_EQ(driver->state(b).pages, 0);
  EXPECT_FALSE(driver->state(a).waiting);
  EXPECT_EQ(driver->waiting_tokens(0), 8) << "its generated token has to be computed again";
}

TEST(Preemption, IdleCachedPagesAreEvictedBeforeAnybodyIsPreempted) {
  Driver driver(scheduler_config(6));
  const SequenceId gone = driver.add(request(9, 16, 500));
  driver.limit(gone, 9);
  driver.step();
  EXPECT_EQ(driver->page_counts().cached, 2);
  driver.add(request(8, 16));
  driver.add(request(8, 16, 100));
  driver.step();
  EXPECT_EQ(driver->page_counts().cached, 2);
  EXPECT_THAT(driver.step().preempted, IsEmpty());
  EXPECT_EQ(driver->page_counts().cached, 0);
}

TEST(Preemption, TheYoungestOfAnyModeIsPreempted) {
  Driver driver(scheduler_config(4, {4, 4}));
  SequenceSpec other = request(7, 16, 100);
  other.mode = 1;
  const SequenceId a = driver.add(request(7, 16)), b = driver.add(other);
  driver.step(0);
  driver.step(1);
  EXPECT_THAT(driver.step(0).preempted, IsEmpty());
  EXPECT_THAT(driver.step(0).preempted, ElementsAre(b));
  EXPECT_EQ(driver->running(1), 0);
  EXPECT_EQ(driver->waiting(1), 1);
  EXPECT_FALSE(driver->state(a).waiting);
}

TEST(Preemption, AnOlderOrMoreUrgentOneIsNeverPreemptedForAnother) {
  Driver driver(scheduler_config(4));
  SequenceSpec urgent = request(7, 16, 100);
  urgent.priority = 1;
  const SequenceId a = driver.add(request(8, 16)), b = driver.add(urgent);
  driver.step();
  // `a` needs a page and `b` has what there is: `a` waits, `b` goes on.
  StepPlan plan = driver.step();
  EXPECT_THAT(plan.preempted, IsEmpty());
  ASSERT_EQ(plan.sequences.size(), 1u);
  EXPECT_EQ(plan.sequences[0].id, b);
  EXPECT_FALSE(driver->state(a).waiting);
  plan = driver.step();
  EXPECT_THAT(plan.preempted, ElementsAre(a));
}

TEST(Preemption, OneThatWasPreemptedFindsItsOwnPages) {
  Driver driver(scheduler_config(6));
  const SequenceId a = driver.add(request(8, 24)), b = driver.add(request(15, 24, 100));
  driver.limit(a, 10);
  driver.step();
  ASSERT_THAT(driver.step().preempted, ElementsAre(b));
  for (int i = 0; i < 4 && driver->alive(a); ++i) driver.step();
  ASSERT_FALSE(driver->alive(a));
  const StepPlan again = driver.step();
  ASSERT_EQ(again.sequences.size(), 1u);
  EXPECT_GT(again.sequences[0].recomputed, 0);
  EXPECT_LT(again.sequences[0].recomputed, 15);
  const SequenceState state = driver->state(b);
  EXPECT_FALSE(state.waiting);
  EXPECT_EQ(state.cached_tokens, 0);
  EXPECT_EQ(driver->prefix_cache_counts(0).hit_tokens, 0) << "counted once per request";
}

TEST(Preemption, OneThatWasPreemptedStandsAtTheFrontOfTheQueue) {
  Driver driver(scheduler_config(4));
  const SequenceId a = driver.add(request(8, 16)), b = driver.add(request(7, 16, 100));
  driver.step();
  const SequenceId c = driver.add(request(4, 8, 200));
  driver.add(request(4, 8, 300));
  ASSERT_THAT(driver.step().preempted, ElementsAre(b));
  EXPECT_EQ(driver->waiting(0), 3);
  driver->cancel(a);
  const StepPlan plan = driver.step(0, 4);
  ASSERT_FALSE(plan.empty());
  EXPECT_EQ(plan.sequences[0].id, b);
  EXPECT_FALSE(driver->state(b).waiting);
  EXPECT_TRUE(driver->alive(c));
}

TEST(Preemption, NobodyIsPreemptedWhenThatWouldNotBeEnough) {
  Driver driver(scheduler_config(10, {4, 4}));
  SequenceSpec urgent = request(12, 40), young = request(2, 4, 200);
  urgent.priority = 1;
  young.mode = 1;
  const SequenceId a = driver.add(urgent);
  driver.step();
  const SequenceId b = driver.add(request(16, 20, 100));
  driver.step(0, 5);
  const SequenceId c = driver.add(young);
  driver.step(1);
  while (driver->state(a).pages < 7) driver.step(0, 0, 0);
  ASSERT_EQ(driver->state(b).pages, 1);
  ASSERT_EQ(driver->page_counts().free, 1);

  // `b` lacks three pages; with that of `c` there would be two.
  StepPlan plan = driver.step();
  EXPECT_THAT(plan.preempted, IsEmpty());
  EXPECT_EQ(plan.sequences.size(), 1u);
  EXPECT_FALSE(driver->state(c).waiting);
  // A chunk of two pages is worth it.
  plan = driver.step(0, 9);
  EXPECT_THAT(plan.preempted, ElementsAre(c));
  EXPECT_EQ(driver->state(b).pages, 3);
}

TEST(Preemption, OneThatWasPreemptedComesAgainOnlyWhenItWouldNotHaveToGoAgain) {
  Driver driver(scheduler_config(6, {4, 4}));
  SequenceSpec small = request(3, 8, 200);
  small.mode = 1;
  const SequenceId a = driver.add(request(8, 16)), b = driver.add(small), c = driver.add(request(11, 16, 100));
  driver.step(1);
  driver.step(0);
  ASSERT_THAT(driver.step(0).preempted, ElementsAre(c));
  driver->cancel(b);
  // Its one new page would be there, but none for `a` to grow by.
  driver.step(0);
  EXPECT_TRUE(driver->state(c).waiting);
  driver->cancel(a);
  driver.step(0);
  EXPECT_FALSE(driver->state(c).waiting);
}

TEST(Preemption, NobodyStartsOnPagesThatARunningPromptStillNeeds) {
  Driver driver(scheduler_config(6, {4, 4}));
  SequenceSpec other = request(9, 12, 100);
  other.mode = 1;
  driver.add(request(15, 20));
  driver.step(0, 4);
  const SequenceId b = driver.add(other);
  EXPECT_TRUE(driver.step(1).empty());
  EXPECT_TRUE(driver->state(b).waiting);
  driver->cancel(1);
  EXPECT_FALSE(driver.step(1).empty());
}

// Two long ones in pages for one and a bit: they take turns without ever standing still.
TEST(Preemption, NeverEndsInALivelock) {
  for (int64_t pages : {8, 9, 10, 12}) {
    Driver driver(scheduler_config(pages));
    std::vector<SequenceId> all;
    for (int32_t i = 0; i < 5; ++i) {
      all.push_back(driver.add(request(5, 32, 100 * i)));
      driver.limit(all.back(), 32);
    }
    int64_t steps = 0;
    for (; driver->has_work(0); ++steps) {
      ASSERT_LT(steps, 5 * 40) << pages;
      ASSERT_FALSE(driver.step().empty());
    }
    for (SequenceId id : all) EXPECT_FALSE(driver->alive(id));
    EXPECT_EQ(driver->page_counts().used, 0);
  }
}

}  // namespace
}  // namespace halftone
