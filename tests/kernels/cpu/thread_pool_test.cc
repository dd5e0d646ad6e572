#include "kernels/cpu/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

namespace halftone::test {
namespace {

TEST(ThreadPool, DoesEveryItemOnceInEveryRound) {
  for (int threads : {1, 2, 3, 5}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.threads(), threads);
    for (int64_t items : {0, 1, 2, 3, 7, 64, 1000}) {
      for (int round = 0; round < 20; ++round) {
        std::vector<std::atomic<int>> done(static_cast<size_t>(items));
        pool.run(items, [&](int64_t item, int thread) {
          EXPECT_TRUE(thread >= 0 && thread < threads);
          done[static_cast<size_t>(item)].fetch_add(1, std::memory_order_relaxed);
        });
        for (const std::atomic<int>& count : done) ASSERT_EQ(count.load(), 1);
      }
    }
  }
}

// What a round wrote without atomics is seen by the caller afterwards and by every thread of the next round.
TEST(ThreadPool, ARoundSeesWhatTheRoundBeforeWrote) {
  ThreadPool pool(3);
  std::vector<int64_t> values(257, 0);
  const auto size = static_cast<int64_t>(values.size());
  for (int64_t round = 1; round <= 500; ++round) {
    std::vector<int64_t> next(values.size());
    pool.run(size, [&](int64_t item, int) {
      next[static_cast<size_t>(item)] = values[static_cast<size_t>((item + 1) % size)] + 1;
    });
    values = next;
    for (int64_t value : values) ASSERT_EQ(value, round);
  }
}

TEST(ThreadPool, NoTwoItemsRunAtOnceUnderOneThreadNumber) {
  ThreadPool pool(4);
  std::vector<std::atomic<int>> inside(4);
  for (int round = 0; round < 100; ++round) {
    pool.run(50, [&](int64_t, int thread) {
      EXPECT_EQ(inside[static_cast<size_t>(thread)].fetch_add(1), 0);
      inside[static_cast<size_t>(thread)].fetch_sub(1);
    });
  }
}

TEST(ThreadPool, WorkersThatSleptJoinAgain) {
  ThreadPool pool(2);
  for (int round = 0; round < 5; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(3));  // far beyond the time that a worker spins
    std::atomic<int> seen{0};
    // Two items that wait for each other: done only when both threads take part.
    pool.run(2, [&](int64_t, int) {
      seen.fetch_add(1);
      const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
      while (seen.load() < 2 && std::chrono::steady_clock::now() < end) std::this_thread::yield();
    });
    ASSERT_EQ(seen.load(), 2);
  }
}

}  // namespace
}  // namespace halftone::test
