// The gate in front of gRPC: listens, accepts, and carries every connection's bytes to gRPC over a socket pair, so that
// no client reaches gRPC's own listener or more of its HTTP/2 than FrameWatch lets through. One thread, which never
// waits for a client; its memory is bounded by the number of connections.
//
//   start (stop_accepting) stop        // on one thread; between the last two gRPC ends its connections
//
// Where there is no room for a new connection, the one that has been idle longest makes room; where none is idle, the
// new one is closed. A lack of descriptors never ends the listening.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/net/frame_watch.h"
#include "server/net/socket.h"

namespace halftone {

struct GateConfig {
  size_t connections = 1024;
  FrameLimits frames = {};                       // of one connection
  size_t streams = 8192;                         // open at once, over all connections
  uint64_t request_bytes = uint64_t{256} << 20;  // of all requests that are not answered yet
  // Told by the gate's thread of bytes of requests that gRPC holds no longer; empty: nobody wants to know.
  std::function<void(uint64_t bytes)> released = {};
  std::chrono::milliseconds greeting_time{10000};  // to begin speaking HTTP/2
  std::chrono::milliseconds request_time{120000};  // to send a request, from its stream's first frame
  std::chrono::milliseconds unread_time{60000};    // a client that takes not a byte for so long is gone
  bool pulse = true;                               // whether answers() is found out
};

class Gate {
 public:
  // Becomes the owner of a non-blocking socket, on which a client speaks HTTP/2.
  using Adopt = std::function<void(int fd)>;
  // A sentence about a connection that had to end. The caller bounds how many are written.
  using Tell = std::function<void(const std::string&)>;

  // Both functions are called by the gate's thread.
  static absl::StatusOr<std::unique_ptr<Gate>> start(std::vector<Socket> listeners, const GateConfig& config,
                                                     Adopt adopt, Tell tell);
  ~Gate();  // stops

  int port() const;
  // The server behind the gate has answered a client of this process's own within the last three seconds. Any thread.
  bool answers() const;
  // When it returns, nobody listens and `adopt` is not called any more; connections live on. May be called twice.
  void stop_accepting();
  // Passes on what gRPC has written, for a moment, then closes all. May be called twice.
  void stop();

 private:
  class Loop;
  explicit Gate(std::unique_ptr<Loop> loop);
  std::unique_ptr<Loop> loop_;
};

}  // namespace halftone
