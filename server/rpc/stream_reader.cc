#include "server/rpc/stream_reader.h"

namespace halftone {

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
