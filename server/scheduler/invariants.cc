#include <algorithm>

#include "kernels/contract/check.h"
#include "server/scheduler/scheduler.h"

namespace halftone {

void Scheduler::check_sequences() const {
  std::vector<int64_t> running(modes_.size(), 0), waiting(modes_.size(), 0);
  int64_t dying = 0;
  for (const auto& [id, sequence] : sequences_) {
    HALFTONE_CHECK(sequence->id == id && id < next_id_);
    HALFTONE_CHECK(sequence->prompt_tokens > 0 && sequence->size() >= sequence->prompt_tokens);
    HALFTONE_CHECK(sequence->size() <= sequence->max_tokens && sequence->computed < sequence->size());
    HALFTONE_CHECK(sequence->cached_tokens < sequence->prompt_tokens);
    HALFTONE_CHECK(!(sequence->cancelled && (sequence->running || !sequence->in_flight)));
    dying += sequence->cancelled ? 1 : 0;
    if (!sequence->cancelled) ++(sequence->running ? running : waiting)[sequence->mode];
  }
  for (size_t mode = 0; mode < modes_.size(); ++mode) {
    HALFTONE_CHECK(running[mode] == modes_[mode].running);
    HALFTONE_CHECK(waiting[mode] == queue_.size(static_cast<ModeIndex>(mode)));
  }
  const int64_t alive = static_cast<int64_t>(running_.size()) + queue_.total_size();
  HALFTONE_CHECK(alive + dying == static_cast<int64_t>(sequences_.size()));
}

void Scheduler::check_invariants() const {
  check_sequences();
  queue_.check_invariants();
  HALFTONE_CHECK(static_cast<int64_t>(running_.size()) <= config_.max_running);
  HALFTONE_CHECK(std::is_sorted(running_.begin(), running_.end(),
                                [](const Sequence* a, const Sequence* b) { return runs_before(*a, *b); }));

  std::vector<const Sequence*> holders(running_.begin(), running_.end());
  for (const Chunk& chunk : chunks_) {
    const Sequence& sequence = *chunk.sequence;
    HALFTONE_CHECK(sequence.in_flight && (sequence.running || sequence.cancelled));
    HALFTONE_CHECK(chunk.first == sequence.computed && chunk.count > 0);
    HALFTONE_CHECK(pages_.missing(sequence, chunk.first + chunk.count) == 0);
    if (sequence.cancelled) holders.push_back(&sequence);
  }
  for (const Sequence* sequence : running_) HALFTONE_CHECK(sequence->running && !sequence->pages.empty());
  const auto in_flight =
      std::count_if(sequences_.begin(), sequences_.end(), [](const auto& s) { return s.second->in_flight; });
  HALFTONE_CHECK(in_flight == static_cast<int64_t>(chunks_.size()));
  pages_.check_invariants(holders);
}

}  // namespace halftone
