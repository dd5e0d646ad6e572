#include "server/stop_signals.h"

#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

namespace halftone {
namespace {

constexpr timespec kPatience{5, 0};  // for a process that was told to hurry

sigset_t both_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  return signals;
}

// As the signal's default does; the first process of a container has no default.
[[noreturn]] void end_by(int signal, const sigset_t& signals) {
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
  kill(getpid(), signal);
  _exit(128 + signal);
}

}  // namespace

StopSignals::StopSignals() : signals_(both_signals()) {
  pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
  try {
    thread_ = std::thread([this] { run(); });
  } catch (const std::system_error& error) {
    throw std::system_error(error.code(), "cannot start the thread that takes signals");
  }
}

StopSignals::~StopSignals() {
  {
    std::lock_guard lock(mutex_);
    stage_ = Stage::kGone;
  }
  pthread_kill(thread_.native_handle(), SIGINT);  // wakes it
  thread_.join();
}

void StopSignals::ready() {
  std::lock_guard lock(mutex_);
  if (stage_ == Stage::kLoading) stage_ = Stage::kReady;
}

int StopSignals::wait() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return asked_; });
  if (stage_ == Stage::kReady) stage_ = Stage::kStopping;
  return first_;
}

void StopSignals::stop() {
  std::lock_guard lock(mutex_);
  asked_ = true;
  changed_.notify_all();
}

void StopSignals::on_second(std::function<void()> hurry) {
  std::lock_guard lock(mutex_);
  hurry_ = std::move(hurry);
  if (stage_ == Stage::kHurried && hurry_) hurry_();
}

bool StopSignals::take(int signal) {
  std::lock_guard lock(mutex_);
  if (stage_ == Stage::kGone) return false;
  if (stage_ == Stage::kLoading) end_by(signal, signals_);
  if (stage_ == Stage::kHurried) _exit(1);
  if (stage_ == Stage::kReady) {
    stage_ = Stage::kStopping;
    if (!asked_) first_ = signal;
    asked_ = true;
    changed_.notify_all();
    return true;
  }
  stage_ = Stage::kHurried;
  if (hurry_) hurry_();
  return true;
}

void StopSignals::run() {
  while (true) {
    mutex_.lock();
    const bool hurried = stage_ == Stage::kHurried;
    mutex_.unlock();
    const int signal = hurried ? sigtimedwait(&signals_, nullptr, &kPatience) : sigwaitinfo(&signals_, nullptr);
    if (signal < 0 && errno == EAGAIN) _exit(1);
    if (signal > 0 && !take(signal)) return;
  }
}

}  // namespace halftone
