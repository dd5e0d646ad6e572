#include "server/engine/output_stream.h"

#include <iterator>
#include <utility>

#include "kernels/contract/check.h"

namespace halftone {
namespace {

void append(std::vector<TokenRecord>& to, std::vector<TokenRecord>& from) {
  to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
}

}  // namespace

void OutputStream::push(OutputDelta delta) {
  MutexLock lock(mutex_);
  HALFTONE_CHECK(!ended_);
  if (!pending_) {
    pending_ = std::move(delta);
    pending_since_ = now_.load(std::memory_order_relaxed);
    return;
  }
  append(pending_->prompt_tokens, delta.prompt_tokens);
  append(pending_->tokens, delta.tokens);
  pending_->text += delta.text;
  if (delta.finish) pending_->finish = std::move(delta.finish);
  if (delta.receipt) pending_->receipt = delta.receipt;
}

void OutputStream::finish(absl::Status status) {
  MutexLock lock(mutex_);
  HALFTONE_CHECK(!ended_);
  ended_ = true;
  end_ = std::move(status);
}

bool OutputStream::has_pending() const {
  MutexLock lock(mutex_);
  return pending_.has_value();
}

Nanoseconds OutputStream::pending_since() const {
  MutexLock lock(mutex_);
  return pending_since_;
}

std::optional<OutputStream::Event> OutputStream::take(std::function<void()> ready) {
  MutexLock lock(mutex_);
  if (!pending_ && !end_) {
    ready_ = std::move(ready);
    return std::nullopt;
  }
  Event event;
  if (pending_) {
    event.delta = std::exchange(pending_, std::nullopt);
  } else {
    event.end = std::exchange(end_, std::nullopt);
  }
  return event;
}

void OutputStream::deliver() {
  // Given up first: what is pushed from here on claims a delivery of its own.
  delivery_claimed_.store(false, std::memory_order_release);
  std::function<void()> ready;
  {
    MutexLock lock(mutex_);
    if (!pending_ && !end_) return;
    ready = std::exchange(ready_, nullptr);
  }
  if (ready) ready();
}

}  // namespace halftone
