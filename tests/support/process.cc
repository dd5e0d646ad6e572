#include "tests/support/process.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace halftone {
namespace {

using Clock = std::chrono::steady_clock;

// Both ends close themselves; the child gets what it needs by dup2.
class Pipe {
 public:
  Pipe() { ok_ = ::pipe2(ends_, O_CLOEXEC) == 0; }
  ~Pipe() {
    for (int end : ends_) {
      if (end >= 0) ::close(end);
    }
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;

  bool ok() const { return ok_; }
  int reads() const { return ends_[0]; }
  int writes() const { return ends_[1]; }
  int take(int end) { return std::exchange(ends_[end], -1); }
  void close_writes() { ::close(take(1)); }

 private:
  int ends_[2] = {-1, -1};
  bool ok_ = false;
};

std::vector<std::string> merged_environment(const std::vector<std::string>& changes) {
  std::vector<std::string> result = changes;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string name(*entry, std::strcspn(*entry, "=") + 1);
    bool changed = false;
    for (const std::string& change : changes) changed = changed || change.rfind(name, 0) == 0;
    if (!changed) result.push_back(*entry);
  }
  return result;
}

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> result;
  for (std::string& word : words) result.push_back(word.data());
  result.push_back(nullptr);
  return result;
}

// What the child needs, made before fork(): after it, in a program with threads, nothing may be allocated.
struct Exec {
  char* const* arguments;
  char* const* environment;
  const char* directory;  // null: stays
  int input, output, errors, failure;
  pid_t parent;
};

[[noreturn]] void become(const Exec& exec) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != exec.parent) ::_exit(127);  // it ended before the line above
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGPIPE, SIG_DFL);
  ::dup2(exec.input, STDIN_FILENO);
  ::dup2(exec.output, STDOUT_FILENO);
  ::dup2(exec.errors, STDERR_FILENO);
  if (exec.directory == nullptr || ::chdir(exec.directory) == 0) {
    ::execvpe(exec.arguments[0], exec.arguments, exec.environment);
  }
  const int error = errno;
  if (::write(exec.failure, &error, sizeof(error)) < 0) ::_exit(126);
  ::_exit(127);
}

// The error that become() met, or 0.
int failure_of_exec(Pipe& failure) {
  failure.close_writes();
  int error = 0;
  ssize_t count;
  do {
    count = ::read(failure.reads(), &error, sizeof(error));
  } while (count < 0 && errno == EINTR);
  return count == sizeof(error) ? error : 0;
}

bool wait_until(const std::function<bool()>& done, Process::Milliseconds time) {
  const auto deadline = Clock::now() + time;
  while (!done()) {
    if (Clock::now() >= deadline) return false;
    std::this_thread::sleep_for(Process::Milliseconds(2));
  }
  return true;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Process>> Process::start(const ProcessOptions& options) {
  if (options.command.empty()) return absl::InvalidArgumentError("no command");
  Pipe input, output, errors, failure;
  if (!input.ok() || !output.ok() || !errors.ok() || !failure.ok()) return absl::ErrnoToStatus(errno, "pipe");
  std::vector<std::string> words = options.command;
  std::vector<std::string> variables = merged_environment(options.environment);
  const std::vector<char*> arguments = pointers(words), environment = pointers(variables);
  const Exec exec = {
      arguments.data(), environment.data(), options.directory.empty() ? nullptr : options.directory.c_str(),
      input.reads(),    output.writes(),    errors.writes(),
      failure.writes(), ::getpid()};
  const pid_t id = ::fork();
  if (id < 0) return absl::ErrnoToStatus(errno, "fork");
  if (id == 0) become(exec);
  const int error = failure_of_exec(failure);
  if (error != 0) {
    ::waitpid(id, nullptr, 0);
    return absl::ErrnoToStatus(error, absl::StrCat("cannot start ", options.command[0]));
  }
  return std::unique_ptr<Process>(new Process(id, input.take(1), output.take(0), errors.take(0)));
}

Process::Process(pid_t id, int input, int output, int errors) : id_(id), input_(input) {
  streams_[0].fd = output;
  streams_[1].fd = errors;
  if (::pipe2(stop_, O_CLOEXEC) != 0) std::abort();
  collector_ = std::thread([this] { collect(); });
}

Process::~Process() {
  end_input();
  send_signal(SIGKILL);
  if (!end_) ::waitpid(id_, nullptr, 0);
  ::close(stop_[1]);
  collector_.join();
  ::close(stop_[0]);
  for (const Stream& stream : streams_) ::close(stream.fd);
}

void Process::collect() {
  while (true) {
    pollfd fds[3] = {{-1, POLLIN, 0}, {-1, POLLIN, 0}, {stop_[0], POLLIN, 0}};
    for (int i = 0; i < 2; ++i) {
      if (!streams_[i].ended) fds[i].fd = streams_[i].fd;  // only this thread changes `ended`
    }
    if (fds[0].fd < 0 && fds[1].fd < 0) return;
    ::poll(fds, 3, -1);
    for (int i = 0; i < 2; ++i) {
      if (fds[i].fd >= 0 && fds[i].revents != 0) collect_from(streams_[i]);
    }
    if (fds[2].revents != 0) return;
  }
}

void Process::collect_from(Stream& stream) {
  char buffer[4096];
  const ssize_t count = ::read(stream.fd, buffer, sizeof(buffer));
  if (count < 0 && errno == EINTR) return;
  const std::lock_guard<std::mutex> lock(mutex_);
  if (count > 0) {
    stream.text.append(buffer, static_cast<size_t>(count));
  } else {
    stream.ended = true;
  }
  changed_.notify_all();
}

std::optional<std::string> Process::next_line(Stream& stream) const {
  const size_t end = stream.text.find('\n', stream.taken);
  if (end == std::string::npos && (!stream.ended || stream.taken == stream.text.size())) return std::nullopt;
  std::string line = stream.text.substr(stream.taken, end == std::string::npos ? end : end - stream.taken);
  stream.taken = end == std::string::npos ? stream.text.size() : end + 1;
  return line;
}

std::optional<std::string> Process::read_line(Milliseconds time, From from) {
  Stream& source = stream(from);
  std::optional<std::string> line;
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait_until(lock, Clock::now() + time, [&] {
    line = next_line(source);
    return line.has_value() || source.ended;
  });
  return line;
}

std::optional<std::string> Process::wait_for_line(const std::string& text, Milliseconds time, From from) {
  const auto deadline = Clock::now() + time;
  while (true) {
    const auto left = std::chrono::ceil<Milliseconds>(deadline - Clock::now());
    std::optional<std::string> line = read_line(std::max(left, Milliseconds(0)), from);
    if (!line || line->find(text) != std::string::npos) return line;
  }
}

std::string Process::text(From from) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return streams_[from == From::kOutput ? 0 : 1].text;
}

bool Process::write(const std::string& text) {
  // A child that has gone must not end the test by SIGPIPE; a pipe knows no MSG_NOSIGNAL.
  const auto old = ::signal(SIGPIPE, SIG_IGN);
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t count = ::write(input_, text.data() + done, text.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) break;
    done += static_cast<size_t>(count);
  }
  ::signal(SIGPIPE, old);
  return done == text.size();
}

void Process::end_input() {
  if (input_ >= 0) ::close(std::exchange(input_, -1));
}

bool Process::reap() {
  if (end_) return true;
  int status = 0;
  if (::waitpid(id_, &status, WNOHANG) != id_) return false;
  end_ = ProcessEnd{WIFEXITED(status) ? WEXITSTATUS(status) : -1, WIFSIGNALED(status) ? WTERMSIG(status) : 0};
  return true;
}

bool Process::running() { return !reap(); }

void Process::send_signal(int signal) {
  if (!reap()) ::kill(id_, signal);  // not reaped: the number is still its own
}

std::optional<ProcessEnd> Process::wait(Milliseconds time) {
  const auto deadline = Clock::now() + time;
  if (!wait_until([this] { return reap(); }, time)) return std::nullopt;
  // The rest of its output; a grandchild that keeps the pipe open is not waited for beyond `time`.
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait_until(lock, deadline, [this] { return streams_[0].ended && streams_[1].ended; });
  return end_;
}

absl::StatusOr<ProcessResult> run_process(const ProcessOptions& options, Process::Milliseconds time) {
  absl::StatusOr<std::unique_ptr<Process>> process = Process::start(options);
  if (!process.ok()) return process.status();
  (*process)->end_input();
  const std::optional<ProcessEnd> end = (*process)->wait(time);
  if (!end) {
    return absl::DeadlineExceededError(absl::StrCat(options.command[0], " still runs after ", time.count(),
                                                    " ms; output: ", (*process)->output(),
                                                    "; errors: ", (*process)->errors()));
  }
  return ProcessResult{*end, (*process)->output(), (*process)->errors()};
}

int free_port() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  const bool good = ::bind(fd, reinterpret_cast<const sockaddr*>(&address), size) == 0 &&
                    ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0;
  ::close(fd);
  return good ? ntohs(address.sin_port) : -1;
}

}  // namespace halftone
