// Follows one OutputStream to its end, whoever sends it on. Nothing blocks: where there is nothing to read, the
// stream's delivery thread comes back later.
//
//   follow (on_delta read_on)* on_end
//
// At any time one thread at most is inside, so no lock is needed but for cancel(). on_end may destroy the object; until
// then the stream may call it, so it must not be destroyed before.
#pragma once

#include <atomic>
#include <memory>
#include <optional>

#include "server/engine/mutex.h"
#include "server/engine/output_stream.h"

namespace halftone {

class StreamReader {
 public:
  virtual ~StreamReader() = default;
  StreamReader(const StreamReader&) = delete;
  StreamReader& operator=(const StreamReader&) = delete;

  void cancel();  // any thread, while the object lives; also before there is a stream
  bool cancelled() const { return cancelled_.load(std::memory_order_relaxed); }

 protected:
  enum class Next { kNow, kLater };  // kLater: whoever took the delta calls read_on() when it has gone out

  StreamReader() = default;
  void follow(std::shared_ptr<OutputStream> stream);  // once; reads as far as it can
  void read_on();

 private:
  virtual Next on_delta(OutputDelta delta) = 0;
  virtual void on_end(absl::Status status) = 0;

  std::shared_ptr<OutputStream> stream_;
  std::optional<absl::Status> end_;  // came together with the last delta
  std::atomic<bool> cancelled_{false};
  Mutex mutex_;
  std::shared_ptr<OutputStream> to_cancel_ ABSL_GUARDED_BY(mutex_);  // the same stream
};

}  // namespace halftone
