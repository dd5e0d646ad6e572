// SIGTERM and SIGINT for the whole process: one thread of its own takes them. Until ready() they end the process at
// once, as if nobody handled them; then the first is told to wait(), another one hurries, and who still sees a third,
// or nothing happen for some seconds, is ended.
#pragma once

#include <csignal>

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace halftone {

class StopSignals {
 public:
  // Made before any other thread, which then does not get the signals. std::system_error where no thread can be
  // started.
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  void ready();
  // Returns the first signal after ready(), or 0 after stop().
  int wait();
  // The process should end for a reason of its own. Any thread, any time.
  void stop();
  // What the second signal calls, at once where it has come already; it must not block. Empty: nothing any more.
  void on_second(std::function<void()> hurry);

 private:
  enum class Stage { kLoading, kReady, kStopping, kHurried, kGone };

  void run();
  // False: the thread has nothing more to do.
  bool take(int signal);

  sigset_t signals_;
  std::mutex mutex_;
  std::condition_variable changed_;
  Stage stage_ = Stage::kLoading;
  bool asked_ = false;  // by a signal or by stop()
  int first_ = 0;
  std::function<void()> hurry_;
  std::thread thread_;  // last: it uses the rest
};

}  // namespace halftone
