#include "kernels/cpu/thread_pool.h"

#include <chrono>
#include <string>
#include <system_error>

namespace halftone {

namespace {

constexpr std::chrono::microseconds kSpin{50};

// Spins until done() or until the time is up; says which.
template <typename Done>
bool spin_until(Done done) {
  auto give_up = std::chrono::steady_clock::now() + kSpin;
  while (true) {
    for (int i = 0; i < 64; ++i) {
      if (done()) return true;
      __builtin_ia32_pause();
    }
    if (std::chrono::steady_clock::now() > give_up) return done();
  }
}

}  // namespace

ThreadPool::ThreadPool(int threads) {
  try {
    for (int thread = 1; thread < threads; ++thread) workers_.emplace_back([this, thread] { worker(thread); });
  } catch (const std::system_error& error) {
    end_workers();
    throw std::system_error(error.code(), "cannot start compute thread " + std::to_string(workers_.size() + 2) +
                                              " of " + std::to_string(threads) + " (--threads)");
  } catch (...) {
    end_workers();
    throw;
  }
}

ThreadPool::~ThreadPool() { end_workers(); }

void ThreadPool::end_workers() {
  stop_.store(true);
  {
    std::lock_guard lock(mutex_);
    state_.fetch_add(kRound | kOpen);
  }
  wake_workers_.notify_all();
  for (std::thread& thread : workers_) thread.join();
}

void ThreadPool::run_erased(int64_t items, Erased work, void* context) {
  if (items <= 0) return;
  if (workers_.empty() || items == 1) {
    for (int64_t item = 0; item < items; ++item) work(context, item, 0);
    return;
  }
  work_ = work;
  context_ = context;
  items_ = items;
  next_.store(0, std::memory_order_relaxed);
  state_.fetch_add(kRound |
                   kOpen);  // sequentially consistent with sleepers_: a worker sees the round or is seen asleep
  if (sleepers_.load() > 0) {
    std::lock_guard lock(mutex_);
    wake_workers_.notify_all();
  }
  take_items(0);
  state_.fetch_and(~kOpen);
  auto all_left = [this] { return (state_.load() & kActive) == 0; };
  if (spin_until(all_left)) return;
  std::unique_lock lock(mutex_);
  caller_sleeps_.store(true);
  wake_caller_.wait(lock, all_left);
  caller_sleeps_.store(false);
}

void ThreadPool::take_items(int thread) {
  while (true) {
    int64_t item = next_.fetch_add(1, std::memory_order_relaxed);
    if (item >= items_) return;
    work_(context_, item, thread);
  }
}

void ThreadPool::wait_for_round(uint64_t* seen) {
  auto opened = [&] {
    uint64_t state = state_.load();
    return (state & kOpen) != 0 && state / kRound != *seen;
  };
  if (!spin_until(opened)) {
    std::unique_lock lock(mutex_);
    sleepers_.fetch_add(1);
    wake_workers_.wait(lock, opened);
    sleepers_.fetch_sub(1);
  }
}

// False: the round was closed, or another one has begun, before this worker got there.
bool ThreadPool::join_round(uint64_t round) {
  uint64_t state = state_.load();
  while ((state & kOpen) != 0 && state / kRound == round) {
    if (state_.compare_exchange_weak(state, state + 1)) return true;
  }
  return false;
}

void ThreadPool::worker(int thread) {
  uint64_t seen = 0;
  while (true) {
    wait_for_round(&seen);
    if (stop_.load()) return;
    seen = state_.load() / kRound;
    if (!join_round(seen)) continue;
    take_items(thread);
    if (((state_.fetch_sub(1) - 1) & kActive) == 0 && caller_sleeps_.load()) {
      std::lock_guard lock(mutex_);
      wake_caller_.notify_one();
    }
  }
}

}  // namespace halftone
