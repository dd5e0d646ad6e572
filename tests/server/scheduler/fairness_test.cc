#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/server/scheduler/driver.h"

namespace halftone {
namespace {

using ::testing::ElementsAre;

// The order in which the given sequences run for the first time.
std::vector<SequenceId> order_of_starts(Driver& driver, const std::vector<SequenceId>& all) {
  std::vector<SequenceId> order;
  for (int step = 0; step < 1000 && order.size() < all.size(); ++step) {
    for (const PlannedSequence& planned : driver.step().sequences) {
      if (std::find(order.begin(), order.end(), planned.id) == order.end()) order.push_back(planned.id);
    }
  }
  return order;
}

SequenceSpec with(int32_t priority, ModeIndex mode, SequenceSpec spec) {
  spec.priority = priority;
  spec.mode = mode;
  return spec;
}

TEST(Fairness, HigherPriorityStartsFirstThenOlder) {
  SchedulerConfig config = scheduler_config(64);
  config.max_running = 1;
  Driver driver(config);
  std::vector<SequenceId> all;
  for (int32_t priority : {0, 2, -1, 2, 0}) {
    all.push_back(driver.add(with(priority, 0, request(4, 8, 100 * static_cast<int32_t>(all.size())))));
    driver.limit(all.back(), 6);
  }
  EXPECT_THAT(order_of_starts(driver, all), ElementsAre(all[1], all[3], all[0], all[4], all[2]));
}

TEST(Fairness, ALargeOneIsNotOvertakenBySmallOnesOfItsPriority) {
  Driver driver(scheduler_config(8));
  const SequenceId first = driver.add(request(10, 16));
  driver.limit(first, 16);
  driver.step();
  const SequenceId large = driver.add(request(28, 30, 100)), small = driver.add(request(2, 4, 200));
  driver.step();
  EXPECT_TRUE(driver->state(large).waiting);
  EXPECT_TRUE(driver->state(small).waiting);
  EXPECT_THAT(order_of_starts(driver, {first, large, small}), ElementsAre(first, large, small));
}

// Without care the small ones of the other mode would take every page that becomes free, for ever.
TEST(Fairness, ALargeOneStartsAlthoughAnotherModeIsFloodedWithSmallOnes) {
  Driver driver(scheduler_config(8, {4, 4}));
  int32_t next = 0;
  const auto add_small = [&] {
    const SequenceId id = driver.add(with(0, 1, request(6, 12, 1000 + 10 * next++)));
    driver.limit(id, 11);
  };
  for (int i = 0; i < 6; ++i) add_small();
  driver.step(1, 6);
  driver.step(1, 7);
  const SequenceId large = driver.add(request(30, 32));
  int steps = 0;
  for (; driver->state(large).waiting; ++steps) {
    ASSERT_LT(steps, 100);
    add_small();
    driver.step(1);
    driver.step(0);
  }
  EXPECT_GT(steps, 2);
}

TEST(Fairness, AModeGetsAPlaceAlthoughAnotherModeFillsThemAll) {
  SchedulerConfig config = scheduler_config(64, {4, 4});
  config.max_running = 2;
  Driver driver(config);
  int32_t next = 0;
  const auto add_small = [&] {
    const SequenceId id = driver.add(with(0, 1, request(3, 8, 1000 + 10 * next++)));
    driver.limit(id, 6);
  };
  for (int i = 0; i < 4; ++i) add_small();
  // They live for four steps and end in the middle of their mode's turn of two.
  driver.step(1);
  const SequenceId other = driver.add(request(4, 8));
  for (int steps = 0; driver->state(other).waiting; ++steps) {
    ASSERT_LT(steps, 20);
    add_small();
    driver.step(1);
    driver.step(1);
    driver.step(0);
  }
}

TEST(Fairness, AnUrgentOneOfAnotherModePassesOneThatFindsNoRoom) {
  Driver driver(scheduler_config(8, {4, 4}));
  const SequenceId first = driver.add(request(18, 24));
  driver.step(0);
  const SequenceId large = driver.add(request(28, 30, 100));
  driver.step(0);
  const SequenceId urgent = driver.add(with(1, 1, request(4, 8))), other = driver.add(with(0, 1, request(4, 8, 50)));
  driver.step(1);
  EXPECT_FALSE(driver->state(urgent).waiting);
  EXPECT_TRUE(driver->state(other).waiting);
  EXPECT_TRUE(driver->state(large).waiting);
  EXPECT_TRUE(driver->alive(first));
}

TEST(Fairness, WhoStoodBehindOneThatFoundNoRoomStartsWhenItIsCancelled) {
  Driver driver(scheduler_config(8, {4, 4}));
  driver.add(request(18, 24));
  driver.step(0);
  const SequenceId large = driver.add(request(28, 30, 100));
  driver.step(0);
  driver.add(with(0, 1, request(4, 8)));
  EXPECT_TRUE(driver.step(1).empty());
  EXPECT_FALSE(driver->has_work(1));
  driver->cancel(large);
  EXPECT_TRUE(driver->has_work(1));
  EXPECT_FALSE(driver.step(1).empty());
}

}  // namespace
}  // namespace halftone
