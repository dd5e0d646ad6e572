// A child process with pipes, for tests from outside: start it, talk to it, signal it, wait for it with a limit.
// What it writes is collected all the time, so it never blocks on a full pipe. One thread at a time, except that the
// thread that starts a child has to outlive it: the system kills the child when that thread ends (or the test crashes).
#pragma once

#include <sys/types.h>

#include <chrono>
#include <condition_variable>
#include <csignal>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"

namespace halftone {

struct ProcessOptions {
  std::vector<std::string> command;      // the program (looked up in PATH where it has no '/'), then its arguments
  std::vector<std::string> environment;  // "NAME=value", in addition to ours or instead of ours
  std::string directory;                 // empty: ours
};

struct ProcessEnd {
  int code = -1;   // of exit(), or -1
  int signal = 0;  // that ended it, or 0
};

class Process {
 public:
  using Milliseconds = std::chrono::milliseconds;
  enum class From { kOutput, kErrors };

  // An error when the program can't be started: which one and why.
  static absl::StatusOr<std::unique_ptr<Process>> start(const ProcessOptions& options);
  ~Process();  // kills it if it still runs
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  pid_t id() const { return id_; }

  // The next line that was not taken yet, without its end; nothing when there is none in time or ever. What stands
  // after the last line end counts as a line once the stream has ended.
  std::optional<std::string> read_line(Milliseconds time, From from = From::kOutput);
  // Takes lines until one contains `text`: that one.
  std::optional<std::string> wait_for_line(const std::string& text, Milliseconds time, From from = From::kOutput);
  // Everything so far, taken or not.
  std::string text(From from) const;
  std::string output() const { return text(From::kOutput); }
  std::string errors() const { return text(From::kErrors); }

  bool write(const std::string& text);  // to its standard input; false when it no longer reads
  void end_input();

  bool running();                // false: it has ended, and wait() says how
  void send_signal(int signal);  // nothing when it has ended
  // How it ended, once all that it wrote is collected; nothing when it still runs after `time`.
  std::optional<ProcessEnd> wait(Milliseconds time);

 private:
  struct Stream {
    int fd = -1;
    std::string text;
    size_t taken = 0;
    bool ended = false;
  };

  Process(pid_t id, int input, int output, int errors);
  void collect();
  void collect_from(Stream& stream);
  bool reap();
  std::optional<std::string> next_line(Stream& stream) const;
  Stream& stream(From from) { return streams_[from == From::kOutput ? 0 : 1]; }

  const pid_t id_;
  int input_;
  int stop_[2] = {-1, -1};  // a pipe that ends the collector when a grandchild keeps our pipes open
  std::optional<ProcessEnd> end_;

  mutable std::mutex mutex_;  // of what follows
  std::condition_variable changed_;
  Stream streams_[2];
  std::thread collector_;
};

// Runs a command to its end. Errors of start(), or DEADLINE_EXCEEDED with what it wrote so far (it is killed then).
struct ProcessResult {
  ProcessEnd end;
  std::string output, errors;
};
absl::StatusOr<ProcessResult> run_process(const ProcessOptions& options, Process::Milliseconds time);

// A TCP port on loopback that was free a moment ago. Let a server choose for itself (port 0) where it can say which.
int free_port();

}  // namespace halftone
