#include "server/scheduler/waiting_queue.h"

#include <gtest/gtest.h>

namespace halftone {
namespace {

Sequence waiting(SequenceId id, ModeIndex mode, int32_t priority, int64_t tokens) {
  Sequence sequence;
  sequence.id = id;
  sequence.mode = mode;
  sequence.priority = priority;
  sequence.tokens.resize(tokens);
  return sequence;
}

TEST(WaitingQueue, HigherPriorityIsFirstThenOlder) {
  WaitingQueue queue(1);
  Sequence a = waiting(1, 0, 0, 1), b = waiting(2, 0, 5, 1), c = waiting(3, 0, 5, 1), d = waiting(4, 0, -1, 1);
  for (Sequence* sequence : {&d, &c, &a, &b}) queue.add(*sequence);
  for (Sequence* expected : {&b, &c, &a, &d}) {
    ASSERT_EQ(queue.first(0), expected);
    queue.remove(*expected);
  }
  EXPECT_EQ(queue.first(0), nullptr);
}

TEST(WaitingQueue, APointOfPriorityIsWorthAFixedTimeOfWaiting) {
  WaitingQueue queue(1);
  Sequence a = waiting(1, 0, 0, 1), b = waiting(2, 0, 1, 1), c = waiting(3, 0, 1, 1), d = waiting(4, 0, -100, 1);
  b.added_at = kPriorityPoint;
  c.added_at = kPriorityPoint - 1;
  d.added_at = -101 * kPriorityPoint;
  for (Sequence* sequence : {&a, &b, &c, &d}) queue.add(*sequence);
  for (Sequence* expected : {&d, &c, &a, &b}) {
    ASSERT_EQ(queue.first(0), expected) << expected->id;
    queue.remove(*expected);
  }
}

TEST(WaitingQueue, ModesHaveQueuesOfTheirOwn) {
  WaitingQueue queue(2);
  Sequence a = waiting(1, 1, 0, 3), b = waiting(2, 0, 9, 4);
  queue.add(a);
  queue.add(b);
  EXPECT_EQ(queue.first(0), &b);
  EXPECT_EQ(queue.first(1), &a);
  EXPECT_EQ(queue.size(0), 1);
  EXPECT_EQ(queue.tokens(1), 3);
  EXPECT_EQ(queue.total_size(), 2);
  queue.check_invariants();
  queue.remove(b);
  EXPECT_EQ(queue.tokens(0), 0);
  queue.check_invariants();
}

TEST(WaitingQueueDeath, RemovingWhoDoesNotWaitEndsTheProcess) {
  WaitingQueue queue(1);
  Sequence a = waiting(1, 0, 0, 1);
  EXPECT_DEATH(queue.remove(a), "broken promise");
}

}  // namespace
}  // namespace halftone
