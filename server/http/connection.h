// One client's connection, with limits of time and bytes on everything it does. One thread at a time.
//
//   read* write* close_gently?
#pragma once

#include <sys/types.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>

#include "server/http/http_server.h"
#include "server/net/socket.h"

namespace halftone {

class Connection {
 public:
  // `socket` does not block; `stop_fd` becomes readable when the server stops, which ends everything at once.
  // `idle_threads` at 0 says that others may be waiting: then a slow request gets only `patience`.
  Connection(Socket socket, int stop_fd, const HttpConfig& config, const std::atomic<int>& idle_threads);

  // Bytes read, 0 at the client's end, -1 when a limit is reached, the server stops or the connection is lost.
  ssize_t read(char* to, size_t size);
  // `size`, or -1. All or nothing, as far as anyone can tell.
  ssize_t write(const char* from, size_t size);
  // Lets the client read what was written even if it still sends: a plain close would make the system throw it away.
  void close_gently();

 private:
  using Clock = std::chrono::steady_clock;

  enum class Wait { kReady, kLate, kStop };  // kLate: perhaps a little early

  Wait wait(short events, Clock::time_point deadline) const;
  bool wait_to_read() const;
  ssize_t fill();

  Socket socket_;
  int stop_fd_;
  const HttpConfig& config_;
  const std::atomic<int>& idle_threads_;
  Clock::time_point start_ = Clock::now();
  Clock::time_point write_deadline_ = {};  // set by the first write
  size_t received_ = 0;
  bool too_slow_ = false;
  std::array<char, 2048> buffer_;  // bytes [first_, last_) are not taken yet
  size_t first_ = 0, last_ = 0;
};

}  // namespace halftone
