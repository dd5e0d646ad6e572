// The `halftone` command as a child process, as a shell would start it. One thread.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace halftone {

class Process {
 public:
  explicit Process(std::vector<std::string> arguments);  // without the program's own name
  ~Process();

  void write(const std::string& text);
  void close_input();
  void signal(int number);
  // Reads standard output until it holds this text (or the process closed it); gives all that was read so far.
  const std::string& read_until(const std::string& text);
  // Closes its input, reads both outputs to their end; the exit status, 128 + n where a signal ended it.
  int wait();
  const std::string& out() const { return out_; }
  const std::string& err() const { return err_; }

 private:
  bool read_some();

  pid_t pid_ = -1;
  int in_ = -1, out_pipe_ = -1, err_pipe_ = -1;
  std::string out_, err_;
};

struct Finished {
  int status = 0;
  std::string out, err;
};
Finished run_command(std::vector<std::string> arguments, const std::string& input = "");

}  // namespace halftone
