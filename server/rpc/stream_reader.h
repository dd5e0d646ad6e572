// Follows one OutputStream to its end, whoever sends it on. Nothing blocks: where there is nothing to read, the
// stream's delivery thread comes back later. Knows no gRPC.
//
//   read_on (on_delta read_on)* on_end
//
// At any time one thread at most is inside, so no lock is needed. on_end may destroy the object; until then the stream
// may call it, so it must not be destroyed before.
#pragma once

#include <memory>

#include "server/engine/output_stream.h"

namespace halftone {

class StreamReader {
 public:
  virtual ~StreamReader() = default;
  StreamReader(const StreamReader&) = delete;
  StreamReader& operator=(const StreamReader&) = delete;

  void cancel() { stream_->cancel(); }  // any thread, while the object lives

 protected:
  enum class Next { kNow, kLater };  // kLater: whoever took the delta calls read_on() when it has gone out

  explicit StreamReader(std::shared_ptr<OutputStream> stream) : stream_(std::move(stream)) {}
  void read_on();

 private:
  virtual Next on_delta(OutputDelta delta) = 0;
  virtual void on_end(absl::Status status) = 0;

  std::shared_ptr<OutputStream> stream_;
  std::optional<absl::Status> end_;  // came together with the last delta
};

}  // namespace halftone
