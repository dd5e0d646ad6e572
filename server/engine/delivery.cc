#include "server/engine/delivery.h"

#include <utility>

namespace halftone {

Delivery::Delivery() : thread_([this] { run(); }) {}

Delivery::~Delivery() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  thread_.join();
}

void Delivery::notify(const std::shared_ptr<OutputStream>& stream) {
  if (!stream->claim_delivery()) return;
  MutexLock lock(mutex_);
  queue_.push_back(stream);
  changed_.notify_all();
}

void Delivery::run() {
  while (true) {
    std::vector<std::shared_ptr<OutputStream>> batch;
    {
      MutexLock lock(mutex_);
      while (queue_.empty() && !stopping_) changed_.wait(mutex_);
      if (queue_.empty()) return;
      batch = std::exchange(queue_, {});
    }
    for (const std::shared_ptr<OutputStream>& stream : batch) stream->deliver();
  }
}

}  // namespace halftone
