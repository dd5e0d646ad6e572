#include "server/net/pulse.h"

#include "server/threads.h"

namespace halftone {
namespace {

constexpr std::chrono::milliseconds kEvery{1000}, kPatience{1000}, kValid{3000};

}  // namespace

void Pulse::start() {
  thread_ = thread_without_signals([this] { run(); });
}

void Pulse::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

bool Pulse::beats() const { return Clock::now() - Clock::time_point(Clock::duration(answered_.load())) < kValid; }

void Pulse::run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    lock.unlock();
    if (probe_.ask(kPatience)) answered_ = Clock::now().time_since_epoch().count();
    lock.lock();
    changed_.wait_for(lock, kEvery, [this] { return stopping_; });
  }
}

}  // namespace halftone
