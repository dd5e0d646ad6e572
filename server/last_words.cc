#include "server/last_words.h"

#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <exception>
#include <new>
#include <string_view>

namespace halftone {
namespace {

void write_line(std::string_view what) {
  const std::string_view pieces[] = {"halftone-server: ", what, "\n"};
  for (std::string_view piece : pieces) {
    if (write(STDERR_FILENO, piece.data(), piece.size()) < 0) break;
  }
}

[[noreturn]] void end_with_line(std::string_view what) {
  write_line(what);
  _exit(1);
}

[[noreturn]] void say_last_words() {
  try {
    if (const std::exception_ptr error = std::current_exception()) std::rethrow_exception(error);
  } catch (const std::bad_alloc&) {
    end_with_line("no memory left; a smaller --kv-bytes leaves more");
  } catch (const std::exception& error) {
    end_with_line(error.what());
  } catch (...) {
  }
  write_line("it cannot go on; that is a fault of ours, or no more threads are allowed");
  std::abort();
}

}  // namespace

void say_last_words_at_the_end() { std::set_terminate(say_last_words); }

AbortsSaid::AbortsSaid() {
  std::signal(SIGABRT,
              [](int) { end_with_line("--port: gRPC cannot start: too few threads or too little memory is allowed"); });
}

AbortsSaid::~AbortsSaid() { std::signal(SIGABRT, SIG_DFL); }

}  // namespace halftone
