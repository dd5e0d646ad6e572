// Opens listening TCP sockets: one rule for every port of the server. 0.0.0.0 is IPv4 alone, :: is IPv6 and IPv4, a
// name is every address that it stands for. Any thread.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace halftone {

// A socket that closes itself.
class Socket {
 public:
  explicit Socket(int fd = -1) : fd_(fd) {}
  Socket(Socket&& other) noexcept : fd_(other.release()) {}
  Socket& operator=(Socket&& other) noexcept;
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  ~Socket();

  int fd() const { return fd_; }
  // The caller's to close from now on.
  int release();

 private:
  int fd_;
};

// Non-blocking, at least one. A port on which somebody listens is an error (no SO_REUSEPORT), one that was just left is
// not. Port 0: any, the same for each address of a name. Addresses of a family that this machine does not have are left
// out.
absl::StatusOr<std::vector<Socket>> listen_on_all(const std::string& address, int port);
// The first of them.
absl::StatusOr<Socket> listen_on(const std::string& address, int port);

int port_of(const Socket& socket);

// "127.0.0.1:80", "[::1]:80": as URLs have it.
std::string endpoint_text(const std::string& address, int port);

}  // namespace halftone
