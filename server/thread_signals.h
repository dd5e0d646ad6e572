// For threads beside main's.
#pragma once

#include <pthread.h>

#include <csignal>

namespace halftone {

// The calling thread takes no signals from now on: they are main's.
inline void leave_signals_to_main() {
  sigset_t all;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
}

}  // namespace halftone
