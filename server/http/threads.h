// Threads that take no signals: those are main's. Any thread.
#pragma once

#include <functional>
#include <thread>

namespace halftone {

// Throws what std::thread throws.
std::thread thread_without_signals(std::function<void()> run);

}  // namespace halftone
