#include "server/api/stream_reader.h"

#include <utility>

namespace halftone {

void StreamReader::cancel() {
  MutexLock lock(mutex_);
  cancelled_.store(true, std::memory_order_relaxed);
  if (to_cancel_ != nullptr) to_cancel_->cancel();
}

void StreamReader::follow(std::shared_ptr<OutputStream> stream) {
  stream_ = std::move(stream);
  {
    MutexLock lock(mutex_);
    to_cancel_ = stream_;
    if (cancelled()) to_cancel_->cancel();
  }
  read_on();
}

void StreamReader::read_on() {
  // Once take() has left a callback behind, another thread may finish and destroy this object.
  const std::shared_ptr<OutputStream> stream = stream_;
  while (!end_) {
    auto event = stream->take([this] { read_on(); });
    if (!event) return;
    end_ = std::move(event->end);
    if (event->delta && on_delta(*std::move(event->delta)) == Next::kLater) return;
  }
  on_end(*std::move(end_));
}

}  // namespace halftone
