#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>

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

// Clients that each ask again as soon as they have their answer, at the highest priority.
class Flood {
 public:
  Flood(Driver& driver, int clients, int64_t prompt, int64_t answer, std::string salt = "")
      : driver_(driver), prompt_(prompt), answer_(answer), salt_(std::move(salt)) {
    for (int i = 0; i < clients; ++i) ask();
  }

  // One step of 10 ms.
  void step() {
    driver_.pass(10'000'000);
    driver_.step();
    const size_t alive =
        static_cast<size_t>(std::erase_if(living_, [&](SequenceId id) { return !driver_->alive(id); }));
    for (size_t i = 0; i < alive; ++i) ask();
  }
  int64_t asked() const { return next_; }

 private:
  void ask() {
    SequenceSpec spec = with(100, 0, request(prompt_, prompt_ + answer_, static_cast<int32_t>(1000 + 10 * next_++)));
    spec.cache_salt = salt_.empty() ? "" : salt_ + std::to_string(next_);
    living_.push_back(driver_.add(std::move(spec)));
    driver_.limit(living_.back(), prompt_ + answer_);
  }

  Driver& driver_;
  const int64_t prompt_, answer_;
  const std::string salt_;
  int64_t next_ = 0;
  std::vector<SequenceId> living_;
};

// Its own distance to the flood's priority in seconds, and the time that those take who were there by then.
TEST(Fairness, NoPriorityStarvesUnderAFloodAboveIt) {
  for (int32_t priority : {99, 50, 0, -100}) {
    for (std::string salt : {"", "salt"}) {
      SchedulerConfig config = scheduler_config(64);
      config.max_running = 4;
      Driver driver(config);
      Flood flood(driver, 80, 4, 4, salt);
      for (int i = 0; i < 50; ++i) flood.step();
      const SequenceId low = driver.add(with(priority, 0, request(4, 8)));
      const Nanoseconds arrived = driver.now();
      while (driver->state(low).waiting) {
        flood.step();
        ASSERT_LT(driver.now() - arrived, 30'000'000'000) << priority;
      }
      const Nanoseconds waited = driver.now() - arrived;
      const Nanoseconds apart = (100 - priority) * Nanoseconds{100'000'000};
      EXPECT_GE(waited, apart / 2) << priority << ": a higher priority still runs earlier";
      EXPECT_LE(waited, apart + 80 / 4 * 5 * 10'000'000 + 50'000'000) << priority;
      EXPECT_GT(flood.asked(), 80);
    }
  }
}

// The flood has more in its pages than there are, so that somebody is always preempted: never the aged one, at the end.
TEST(Fairness, OneOfLowPriorityThatWasPreemptedComesAgainAndEnds) {
  SchedulerConfig config = scheduler_config(16);
  config.max_running = 6;
  Driver driver(config);
  const SequenceId low = driver.add(with(-100, 0, request(4, 48)));
  driver.limit(low, 48);
  driver.step();
  Flood flood(driver, 20, 4, 20);
  const Nanoseconds began = driver.now();
  int64_t preemptions = 0;
  while (driver->alive(low)) {
    const bool ran = !driver->state(low).waiting;
    flood.step();
    preemptions += ran && driver->alive(low) && driver->state(low).waiting;
    ASSERT_LT(driver.now() - began, 30'000'000'000);
  }
  EXPECT_GT(preemptions, 0);
}

// Nobody passes one that came so long before that its age makes up for the priority.
TEST(Fairness, OfThousandsNoneIsPassedByOneThatCameTooLate) {
  struct Arrival {
    SequenceId id;
    Nanoseconds at;
    int32_t priority;
  };
  SchedulerConfig config = scheduler_config(40);
  config.max_running = 5;
  Driver driver(config);
  std::mt19937 random(7);
  std::vector<Arrival> waiting;
  Nanoseconds longest = 0;
  for (int step = 0; step < 6000; ++step) {
    driver.pass(20'000'000);
    if (step < 4000 && step % 2 == 0) {
      const int32_t priority = static_cast<int32_t>(random() % 201) - 100;
      const SequenceId id = driver.add(with(priority, 0, request(1 + random() % 20, 30, 100 * step)));
      driver.limit(id, 21 + static_cast<int64_t>(random() % 9));
      waiting.push_back({id, driver.now(), priority});
    }
    driver.step();
    std::vector<Arrival> started;
    std::erase_if(waiting, [&](const Arrival& a) {
      const bool runs = !driver->alive(a.id) || driver->state(a.id).was_scheduled;
      if (runs) started.push_back(a);
      return runs;
    });
    for (const Arrival& first : started) {
      longest = std::max(longest, driver.now() - first.at);
      for (const Arrival& left : waiting) {
        ASSERT_LE(first.at - left.at, (first.priority - left.priority) * Nanoseconds{100'000'000});
      }
    }
  }
  EXPECT_GT(longest, 20'000'000'000) << "the server was never behind";
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
