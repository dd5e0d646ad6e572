// Ctrl-C as a call instead of an end: SIGINT goes to a thread of its own. Make it before any other thread exists; one a
// process.
#pragma once

#include <signal.h>

#include <functional>
#include <mutex>
#include <thread>

namespace halftone {

class Interrupts {
 public:
  Interrupts();
  ~Interrupts();
  // What the next SIGINTs do, on the thread of their own. Returns when no earlier one runs any more.
  void set(std::function<void()> action);

 private:
  void run();

  sigset_t signals_;
  std::mutex mutex_;
  std::function<void()> action_;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace halftone
