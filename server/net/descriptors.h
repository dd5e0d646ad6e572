// Who gets how many of the descriptors that this process may have open. Any thread.
#pragma once

#include <cstddef>

namespace halftone {

struct ConnectionShares {
  size_t grpc = 0, http = 0;  // connections
};

// Raises this process's limit of descriptors as far as it goes. What fits in it, at most as `wanted`, at least one of
// each: HTTP has up to a quarter of what is left, so that neither port can take the other's, and some stay for the rest
// of the process. A connection of gRPC takes three, one of HTTP one.
ConnectionShares share_descriptors(const ConnectionShares& wanted);

}  // namespace halftone
