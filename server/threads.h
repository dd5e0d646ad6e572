// Threads that take no signals: those are main's. Any thread.
#pragma once

#include <csignal>
#include <functional>
#include <thread>
#include <utility>

namespace halftone {

// Throws what std::thread throws. A thread begins with the mask of the one that makes it: that is set for a moment, so
// that no signal finds the new thread before it could set its own.
inline std::thread thread_without_signals(std::function<void()> run) {
  class NoSignals {
   public:
    NoSignals() {
      sigset_t all;
      ::sigfillset(&all);
      ::pthread_sigmask(SIG_BLOCK, &all, &before_);
    }
    ~NoSignals() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

   private:
    sigset_t before_;
  };
  const NoSignals guard;
  return std::thread(std::move(run));
}

}  // namespace halftone
