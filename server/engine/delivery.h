// Wakes readers: a thread of its own calls their `ready`, so that the engine thread never runs foreign code.
// notify(): any thread. A callback that blocks holds up other readers, never the engine.
#pragma once

#include <memory>
#include <thread>
#include <vector>

#include "server/engine/mutex.h"
#include "server/engine/output_stream.h"

namespace halftone {

class Delivery {
 public:
  Delivery();
  ~Delivery();  // delivers what was notified before

  // A stream stands in the queue once at most, so the queue is no longer than the number of streams.
  void notify(const std::shared_ptr<OutputStream>& stream);

 private:
  void run();

  Mutex mutex_;
  Condition changed_;
  std::vector<std::shared_ptr<OutputStream>> queue_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;  // last: it uses the rest
};

}  // namespace halftone
