// Asks, from within the process, whether its own gRPC port answers: connects like any client and waits for the answer
// to a ping, which only gRPC's own threads can give. One thread at a time, except last_port().
#pragma once

#include <netinet/in.h>

#include <atomic>
#include <chrono>

#include "server/net/socket.h"

namespace halftone {

class Probe {
 public:
  explicit Probe(const Socket& listener);

  // False where there was no answer in time.
  bool ask(std::chrono::milliseconds time);
  // The port that the last connection comes from; any thread.
  int last_port() const { return last_port_; }

 private:
  sockaddr_in6 target_ = {};  // or a sockaddr_in, which is smaller
  socklen_t size_ = sizeof(target_);
  std::atomic<int> last_port_{-1};
};

}  // namespace halftone
