// One client's connection as the gate carries it: bytes pass between the client's socket and gRPC's under FrameWatch's
// eyes. Never waits, and keeps no more than a read and a header block each way: it does not read from one side what the
// other does not take. The gate's thread only.
#pragma once

#include <sys/socket.h>

#include <chrono>
#include <cstdint>
#include <span>
#include <string>

#include "server/net/frame_watch.h"
#include "server/net/socket.h"

namespace halftone {

class Link {
 public:
  using Time = FrameWatch::Time;
  enum Side : uint8_t { kClient, kServer };

  // Both sockets do not block.
  Link(Socket client, Socket server, const FrameLimits& limits, Time now);

  // What epoll said of one side.
  void on_event(Side side, uint32_t events);
  // Moves what can be moved, through `room`. True where there may be more at once: others should have their turn.
  bool move(std::span<char> room, Time now);
  // Says goodbye to the client where that is possible, in HTTP/2's words; the link is over.
  void end(const char* why, uint32_t error_code);

  bool over() const { return over_; }
  // Why it had to end: a limit that the client broke. Null where it ended by itself.
  const char* broken() const { return broken_; }
  // Waits to be told that `side` can be written to.
  bool blocked(Side side) const { return ways_[1 - side].blocked; }
  int fd(Side side) const { return sockets_[side].fd(); }
  const FrameWatch& watch() const { return watch_; }
  Time last_moved() const { return last_moved_; }
  // The server has hung up, and the client was told; it may still be sending.
  bool lingers() const { return ways_[kServer].closed; }
  // Bytes wait for the client.
  bool owes_client() const { return !ways_[kServer].kept.empty(); }
  // Until then nothing is read from the client: its frames make too much work.
  Time rests_until() const { return rests_until_; }

 private:
  // From sockets_[i] to the other.
  struct Way {
    std::string kept;  // read, and not passed on yet
    bool readable = false, blocked = false;
    bool ended = false;   // no more bytes come
    bool closed = false;  // and the other side was told
  };

  bool move_way(Side from, std::span<char> room, Time now);
  bool flush(Side from, Time now);
  bool pass(Side from, std::string_view bytes, Time now);
  // How much was written to the other side; -1 where it is gone.
  ssize_t write(Side from, std::string_view bytes, Time now);
  void charge(Time now);
  void finish_way(Side from);

  Socket sockets_[2];
  FrameWatch watch_;
  Way ways_[2];
  bool over_ = false;
  const char* broken_ = nullptr;
  Time last_moved_, rests_until_ = {}, charged_;
  double credit_;  // of frames' work
};

}  // namespace halftone
