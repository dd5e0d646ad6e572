#include "tests/client/process.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "kernels/contract/check.h"

extern char** environ;

namespace halftone {
namespace {

void make_pipe(int ends[2]) { HALFTONE_CHECK(pipe2(ends, O_CLOEXEC) == 0); }

void close_once(int& descriptor) {
  if (descriptor >= 0) close(descriptor);
  descriptor = -1;
}

// False at the end.
bool read_into(int descriptor, std::string& out) {
  char buffer[4096];
  const ssize_t count = read(descriptor, buffer, sizeof buffer);
  if (count > 0) out.append(buffer, static_cast<size_t>(count));
  return count > 0;
}

}  // namespace

Process::Process(std::vector<std::string> arguments) {
  ::signal(SIGPIPE, SIG_IGN);
  arguments.insert(arguments.begin(), HALFTONE_BINARY_DIR "/bin/halftone");
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  int in[2], out[2], err[2];
  make_pipe(in);
  make_pipe(out);
  make_pipe(err);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in[0], 0);
  posix_spawn_file_actions_adddup2(&actions, out[1], 1);
  posix_spawn_file_actions_adddup2(&actions, err[1], 2);
  HALFTONE_CHECK(posix_spawn(&pid_, argv[0], &actions, nullptr, argv.data(), environ) == 0);
  posix_spawn_file_actions_destroy(&actions);
  for (int descriptor : {in[0], out[1], err[1]}) close(descriptor);
  in_ = in[1];
  out_pipe_ = out[0];
  err_pipe_ = err[0];
}

Process::~Process() {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  for (int* descriptor : {&in_, &out_pipe_, &err_pipe_}) close_once(*descriptor);
}

void Process::write(const std::string& text) {
  HALFTONE_CHECK(::write(in_, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
}

void Process::close_input() { close_once(in_); }
void Process::signal(int number) { kill(pid_, number); }

bool Process::read_some() {
  pollfd polled[2] = {{out_pipe_, POLLIN, 0}, {err_pipe_, POLLIN, 0}};
  if (out_pipe_ < 0 && err_pipe_ < 0) return false;
  poll(polled, 2, 20000);
  if (polled[0].revents == 0 && polled[1].revents == 0) return false;
  if (polled[0].revents != 0 && !read_into(out_pipe_, out_)) close_once(out_pipe_);
  if (polled[1].revents != 0 && !read_into(err_pipe_, err_)) close_once(err_pipe_);
  return true;
}

const std::string& Process::read_until(const std::string& text) {
  while (out_.find(text) == std::string::npos && out_pipe_ >= 0 && read_some()) {
  }
  return out_;
}

int Process::wait() {
  close_input();
  while (read_some()) {
  }
  int status = 0;
  waitpid(pid_, &status, 0);
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

Finished run_command(std::vector<std::string> arguments, const std::string& input) {
  Process process(std::move(arguments));
  if (!input.empty()) process.write(input);
  const int status = process.wait();
  return {status, process.out(), process.err()};
}

}  // namespace halftone
