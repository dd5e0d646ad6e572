#include "server/stop_signals.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <functional>
#include <thread>

namespace halftone {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

void send(int signal) {
  kill(getpid(), signal);
  std::this_thread::sleep_for(milliseconds(100));  // two of one number at once are one to the system
}

// How a process ends that does this and would live on for twenty seconds.
int end_of(const std::function<void()>& work, milliseconds* time) {
  const auto begin = steady_clock::now();
  const pid_t child = fork();
  if (child == 0) {
    work();
    std::this_thread::sleep_for(std::chrono::seconds(20));
    _exit(99);
  }
  int status = 0;
  waitpid(child, &status, 0);
  *time = std::chrono::duration_cast<milliseconds>(steady_clock::now() - begin);
  return status;
}

TEST(StopSignals, BeforeItIsReadyASignalEndsTheProcessAtOnce) {
  for (int signal : {SIGTERM, SIGINT}) {
    milliseconds time{};
    const int status = end_of(
        [=] {
          StopSignals signals;
          send(signal);
        },
        &time);
    EXPECT_TRUE(WIFSIGNALED(status));
    EXPECT_EQ(WTERMSIG(status), signal);
    EXPECT_LT(time, milliseconds(5000));
  }
}

TEST(StopSignals, ASignalBetweenReadyAndWaitIsNotLost) {
  milliseconds time{};
  const int status = end_of(
      [] {
        StopSignals signals;
        signals.ready();
        send(SIGINT);
        _exit(signals.wait());
      },
      &time);
  EXPECT_EQ(WEXITSTATUS(status), SIGINT);
}

TEST(StopSignals, TheSecondHurriesWheneverItComes) {
  for (bool early : {true, false}) {
    milliseconds time{};
    const int status = end_of(
        [=] {
          StopSignals signals;
          signals.ready();
          send(SIGINT);
          if (early) send(SIGTERM);
          signals.wait();
          signals.on_second([] { _exit(42); });
          if (!early) send(SIGTERM);
        },
        &time);
    EXPECT_EQ(WEXITSTATUS(status), 42) << early;
    EXPECT_LT(time, milliseconds(5000));
  }
}

TEST(StopSignals, AThirdEndsAProcessThatDoesNotHurry) {
  milliseconds time{};
  const int status = end_of(
      [] {
        StopSignals signals;
        signals.ready();
        for (int i = 0; i < 3; ++i) send(SIGTERM);
      },
      &time);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 1);
  EXPECT_LT(time, milliseconds(4000));
}

TEST(StopSignals, AReasonOfItsOwnIsNoSignal) {
  StopSignals signals;
  signals.stop();
  signals.ready();
  EXPECT_EQ(signals.wait(), 0);
}

}  // namespace
}  // namespace halftone
