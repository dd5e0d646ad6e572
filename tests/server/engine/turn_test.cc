#include "server/engine/turn.h"

#include <gtest/gtest.h>

namespace halftone {
namespace {

TEST(Turn, NobodyRunsWithoutWork) { EXPECT_EQ(Turn(2).pick({false, false}, 10), std::nullopt); }

TEST(Turn, GivesEachModeTheSameTimeWhateverItsStepsCost) {
  Turn turn(3);
  const Nanoseconds cost[] = {10, 35, 200};
  Nanoseconds used[] = {0, 0, 0};
  for (int step = 0; step < 3000; ++step) {
    const ModeIndex mode = *turn.pick({true, true, true}, 10);
    used[mode] += cost[mode];
    turn.charge(mode, cost[mode]);
  }
  for (Nanoseconds time : used) EXPECT_NEAR(static_cast<double>(time), static_cast<double>(used[0]), 210);
}

TEST(Turn, AnIdleModeSavesNoCredit) {
  Turn turn(2);
  for (int step = 0; step < 100; ++step) turn.charge(*turn.pick({true, false}, 10), 10);
  int in_a_row = 0;
  while (*turn.pick({true, true}, 10) == 1) {
    turn.charge(1, 10);
    ++in_a_row;
  }
  EXPECT_LE(in_a_row, 2);  // a round, and the debt of the other's last step
}

TEST(Turn, TimeAloneIsNoDebt) {
  Turn turn(2);
  for (int step = 0; step < 100; ++step) turn.charge(*turn.pick({true, false}, 10), 1000);
  // The other one comes: the first waits for one round, not for a hundred.
  int others = 0;
  for (int step = 0; step < 20; ++step) {
    const ModeIndex mode = *turn.pick({true, true}, 10);
    turn.charge(mode, 10);
    others += mode;
  }
  EXPECT_GE(others, 9);
  EXPECT_LE(others, 20);
}

TEST(Turn, ADebtIsKeptWhileOthersWork) {
  Turn turn(2);
  while (*turn.pick({true, true}, 10) != 0) turn.charge(1, 10);
  turn.charge(0, 500);
  // Idle for a moment does not pay it.
  EXPECT_EQ(turn.pick({false, true}, 10), 1);
  turn.charge(1, 10);
  int others = 0;
  while (*turn.pick({true, true}, 10) == 1) {
    turn.charge(1, 10);
    ++others;
  }
  EXPECT_GE(others, 45);
  EXPECT_LE(others, 55);
}

}  // namespace
}  // namespace halftone
