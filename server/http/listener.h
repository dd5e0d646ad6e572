// Opens a listening TCP socket. Any thread.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace halftone {

// A socket that closes itself.
class Socket {
 public:
  explicit Socket(int fd) : fd_(fd) {}
  Socket(Socket&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  ~Socket();

  int fd() const { return fd_; }

 private:
  int fd_;
};

// Non-blocking. A port on which somebody listens is an error (no SO_REUSEPORT), one that was just left is not. Port 0:
// any.
absl::StatusOr<Socket> listen_on(const std::string& address, int port);

int port_of(const Socket& socket);

}  // namespace halftone
