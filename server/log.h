// The server's log: spdlog's default logger, whose lines a thread of its own writes to standard output. Whoever logs
// never waits for a reader: where nobody reads, lines are left out and counted. Text is escaped here, once for all:
// nobody who is quoted in a line can write another, or speak to a terminal. Any thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace halftone {

// Control characters, line separators, marks of writing direction and what is not UTF-8, as \n, \x1b or \u202e; cut
// where it gets too long for a line.
std::string log_text(std::string_view text);

// spdlog's default logger while it lives. Also ignores SIGPIPE, for good: a reader that goes away ends nothing.
class Log {
 public:
  explicit Log(int descriptor = 1);
  // Waits a second at most for the last lines to be read.
  ~Log();
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

 private:
  class Writer;
  std::shared_ptr<Writer> writer_;
};

}  // namespace halftone
