#include "server/http/threads.h"

#include <csignal>
#include <utility>

namespace halftone {
namespace {

// A thread begins with the mask of the one that makes it, so that no signal finds it before it has set its own.
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

}  // namespace

std::thread thread_without_signals(std::function<void()> run) {
  const NoSignals guard;
  return std::thread(std::move(run));
}

}  // namespace halftone
