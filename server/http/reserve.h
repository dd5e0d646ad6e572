// Descriptors kept back, so that a client can still be accepted when the process has none left. One thread.
#pragma once

#include <cstddef>
#include <vector>

#include "server/net/socket.h"

namespace halftone {

class Reserve {
 public:
  explicit Reserve(size_t size) : size_(size) { refill(); }

  // Closes one, for the caller to open another in its place. False: there was none.
  bool give();
  // Opens what is missing, as far as the process may.
  void refill();

 private:
  const size_t size_;
  std::vector<Socket> kept_;
};

}  // namespace halftone
