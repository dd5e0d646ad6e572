// Our own threads for short pieces of work: the caller is worker 0, items come off one atomic counter, and who waits
// spins for at most 50 microseconds before it sleeps. A worker that the machine does not let run is not waited for: it
// joins a round or misses it, and the caller does the items itself. One thread at a time calls run().
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <type_traits>
#include <vector>

namespace halftone {

class ThreadPool {
 public:
  // std::system_error where the system does not give so many threads.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  // work(item, thread) for each item in [0, items), in any order, on any of the threads; returns when all are done.
  template <typename Work>
  void run(int64_t items, Work&& work) {
    using Plain = std::remove_reference_t<Work>;
    run_erased(
        items, [](void* context, int64_t item, int thread) { (*static_cast<Plain*>(context))(item, thread); }, &work);
  }

 private:
  using Erased = void (*)(void* context, int64_t item, int thread);
  void run_erased(int64_t items, Erased work, void* context);
  void worker(int thread);
  void end_workers();
  void take_items(int thread);
  void wait_for_round(uint64_t* seen);
  bool join_round(uint64_t round);

  // state_: the round's number, whether it may still be joined, and how many workers have joined and not left.
  static constexpr uint64_t kActive = (uint64_t{1} << 16) - 1, kOpen = uint64_t{1} << 16, kRound = uint64_t{1} << 17;

  std::vector<std::thread> workers_;
  // The round's work; written while no round is open and nobody is active.
  Erased work_ = nullptr;
  void* context_ = nullptr;
  int64_t items_ = 0;
  std::atomic<int64_t> next_{0};
  std::atomic<uint64_t> state_{0};
  std::atomic<int> sleepers_{0};
  std::atomic<bool> caller_sleeps_{false};
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  std::condition_variable wake_workers_, wake_caller_;
};

}  // namespace halftone
