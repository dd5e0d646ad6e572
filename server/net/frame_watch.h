// Watches the HTTP/2 frames of one connection, both ways, and says when its client goes beyond a limit: what gRPC would
// keep or compute without bound never reaches it. Reads the headers of frames only, no HPACK. One thread at a time.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <unordered_map>

namespace halftone {

struct FrameLimits {
  uint32_t header_block_bytes = 16384;  // of a HEADERS frame and its CONTINUATIONs
  uint32_t continuations = 8;           // of one header block
  uint32_t frame_bytes = 16384;         // of any frame but DATA, which gRPC bounds itself
  uint64_t request_bytes = 32 << 20;    // of one request: gRPC reads a whole message before it refuses it as too large
  // Open at once. gRPC announces fewer; a client may open more until it has read that.
  uint32_t streams = 1280;
};

class FrameWatch {
 public:
  using Time = std::chrono::steady_clock::time_point;

  explicit FrameWatch(const FrameLimits& limits) : limits_(limits) {}

  // The client's next bytes. Null, or the limit that they break: then the connection has to end.
  const char* from_client(std::string_view bytes, Time now);
  // The server's next bytes, which tell when streams end.
  void from_server(std::string_view bytes);

  // The number of the client's last bytes that belong to a header block that is not whole: gRPC gets whole blocks only,
  // since it would look at each piece from the start again.
  size_t held() const { return held_; }
  // The client has said that it speaks HTTP/2.
  bool greeted() const { return greeted_; }
  bool between_server_frames() const { return server_.have == 0 && server_.left == 0; }
  size_t streams() const { return streams_.size(); }
  // Of the DATA of streams that are open.
  uint64_t request_bytes() const { return request_bytes_; }
  // A stream that was opened before `time` and whose request is not whole.
  bool has_unfinished_request(Time time) const;
  // What gRPC has to do for the client's frames since the last call, in units of a plain small frame.
  uint32_t take_cost();

 private:
  // Where a direction is within its frames.
  struct Reader {
    std::array<uint8_t, 9> header;
    size_t have = 0;    // bytes of the header
    uint32_t left = 0;  // bytes of the payload that are to come

    uint32_t length() const { return uint32_t{header[0]} << 16 | uint32_t{header[1]} << 8 | header[2]; }
    uint8_t type() const { return header[3]; }
    bool flag(uint8_t bit) const { return (header[4] & bit) != 0; }
    uint32_t stream() const;
    // Takes bytes from the front. True when a header has just become whole.
    bool take(std::string_view& bytes);
  };
  struct Stream {
    Time opened;
    uint64_t bytes = 0;
    bool request_whole = false;
  };

  const char* greet(std::string_view& bytes);
  const char* client_frame(Time now);
  const char* header_frame(Time now);
  const char* data_frame();
  void end_stream(uint32_t id);

  const FrameLimits limits_;
  Reader client_, server_;
  size_t greeting_ = 0;  // bytes of the preface that came
  bool greeted_ = false;
  bool in_block_ = false;  // from a HEADERS frame to END_HEADERS
  bool block_ends_ = false;
  uint32_t block_stream_ = 0, block_bytes_ = 0, block_continuations_ = 0;
  size_t held_ = 0;
  uint32_t last_stream_ = 0;
  std::unordered_map<uint32_t, Stream> streams_;
  uint64_t request_bytes_ = 0;
  uint32_t cost_ = 0;
};

}  // namespace halftone
