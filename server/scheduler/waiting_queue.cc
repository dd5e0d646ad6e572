#include "server/scheduler/waiting_queue.h"

#include "kernels/contract/check.h"

namespace halftone {

void WaitingQueue::add(Sequence& sequence) {
  ModeQueue& mode = modes_[sequence.mode];
  HALFTONE_CHECK(mode.order.insert(&sequence).second);
  mode.tokens += sequence.size();
  ++total_size_;
}

void WaitingQueue::remove(Sequence& sequence) {
  ModeQueue& mode = modes_[sequence.mode];
  HALFTONE_CHECK(mode.order.erase(&sequence) == 1);
  mode.tokens -= sequence.size();
  --total_size_;
}

Sequence* WaitingQueue::first(ModeIndex mode) const {
  return modes_[mode].order.empty() ? nullptr : *modes_[mode].order.begin();
}

void WaitingQueue::check_invariants() const {
  int64_t total_size = 0;
  for (size_t i = 0; i < modes_.size(); ++i) {
    int64_t tokens = 0;
    for (const Sequence* sequence : modes_[i].order) {
      HALFTONE_CHECK(sequence->mode == static_cast<ModeIndex>(i));
      HALFTONE_CHECK(!sequence->running && !sequence->cancelled && sequence->pages.empty() && sequence->computed == 0);
      tokens += sequence->size();
    }
    HALFTONE_CHECK(tokens == modes_[i].tokens);
    total_size += static_cast<int64_t>(modes_[i].order.size());
  }
  HALFTONE_CHECK(total_size == total_size_);
}

}  // namespace halftone
