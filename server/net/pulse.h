// Asks again and again, on a thread of its own, whether a port of this process still answers.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "server/net/probe.h"

namespace halftone {

class Pulse {
 public:
  explicit Pulse(const Socket& listener) : probe_(listener), answered_(Clock::now().time_since_epoch().count()) {}
  ~Pulse() { stop(); }

  // start() and stop() on one thread.
  void start();
  void stop();
  // There was an answer within the last three seconds, or it has only just begun to ask. Any thread.
  bool beats() const;
  // That the last question came from; any thread.
  int port() const { return probe_.last_port(); }

 private:
  using Clock = std::chrono::steady_clock;

  void run();

  Probe probe_;
  std::atomic<Clock::rep> answered_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace halftone
