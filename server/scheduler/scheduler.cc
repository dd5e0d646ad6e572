#include "server/scheduler/scheduler.h"

#include <algorithm>
#include <utility>

#include "kernels/contract/check.h"

namespace halftone {

Scheduler::Scheduler(SchedulerConfig config)
    : config_(std::move(config)),
      pages_(config_),
      queue_(static_cast<int64_t>(config_.page_tokens.size())),
      modes_(config_.page_tokens.size()) {
  HALFTONE_CHECK(config_.pages > 0 && config_.max_running > 0);
  for (int64_t tokens : config_.page_tokens) HALFTONE_CHECK(tokens > 0);
  running_.reserve(config_.max_running);
}

std::optional<SequenceId> Scheduler::add(SequenceSpec spec, Nanoseconds now) {
  const int64_t prompt_tokens = static_cast<int64_t>(spec.prompt.size());
  HALFTONE_CHECK(spec.mode >= 0 && spec.mode < static_cast<ModeIndex>(modes_.size()));
  HALFTONE_CHECK(prompt_tokens > 0 && prompt_tokens <= spec.max_tokens);
  if (pages_.pages_for(spec.mode, spec.max_tokens) > pages_.total()) return std::nullopt;

  auto sequence = std::make_unique<Sequence>();
  sequence->id = next_id_++;
  sequence->mode = spec.mode;
  sequence->priority = spec.priority;
  sequence->salt = std::move(spec.cache_salt);
  sequence->use_prefix_cache = spec.use_prefix_cache;
  sequence->tokens = std::move(spec.prompt);
  sequence->prompt_tokens = prompt_tokens;
  sequence->max_tokens = spec.max_tokens;
  sequence->added_at = now;
  queue_.add(*sequence);
  const SequenceId id = sequence->id;
  sequences_.emplace(id, std::move(sequence));
  ++changes_;
  return id;
}

const Sequence* Scheduler::find(SequenceId id) const {
  const auto found = sequences_.find(id);
  return found == sequences_.end() || found->second->cancelled ? nullptr : found->second.get();
}

void Scheduler::leave_running(Sequence& sequence) {
  running_.erase(std::find(running_.begin(), running_.end(), &sequence));
  --modes_[sequence.mode].running;
  sequence.running = false;
}

void Scheduler::end(Sequence& sequence) {
  pages_.release(sequence);
  sequences_.erase(sequence.id);
}

void Scheduler::cancel(SequenceId id) {
  const auto found = sequences_.find(id);
  if (found == sequences_.end() || found->second->cancelled) return;
  Sequence& sequence = *found->second;
  ++changes_;
  if (!sequence.running) {
    queue_.remove(sequence);
    end(sequence);
    return;
  }
  leave_running(sequence);
  // The step in flight still writes to its pages and reads its tokens: accept() ends it.
  sequence.cancelled = sequence.in_flight;
  if (!sequence.in_flight) end(sequence);
}

void Scheduler::accept(const StepPlan& plan, std::span<const StepResult> results) {
  HALFTONE_CHECK(!chunks_.empty() && chunks_.size() == plan.sequences.size() && chunks_.size() == results.size());
  for (size_t i = 0; i < chunks_.size(); ++i) {
    HALFTONE_CHECK(chunks_[i].sequence->id == plan.sequences[i].id && chunks_[i].sequence->id == results[i].id);
    take_result(chunks_[i], results[i]);
  }
  chunks_.clear();
  ++changes_;
}

void Scheduler::take_result(const Chunk& chunk, const StepResult& result) {
  Sequence& sequence = *chunk.sequence;
  sequence.in_flight = false;
  // A cancelled one shares nothing of its last step: that may be why it was cancelled.
  if (sequence.cancelled) return end(sequence);

  const int64_t computed = chunk.first + chunk.count;
  const bool samples = computed == sequence.size();
  HALFTONE_CHECK(samples ? result.has_token || result.ended : !result.has_token);
  sequence.ever_computed = std::max(sequence.ever_computed, computed);
  sequence.computed = computed;
  if (result.has_token) {
    sequence.tokens.push_back(result.token);
    HALFTONE_CHECK(sequence.size() <= sequence.max_tokens);
  }
  pages_.share_full_pages(sequence);
  if (!result.ended) return;
  leave_running(sequence);
  end(sequence);
}

bool Scheduler::has_work(ModeIndex index) const {
  const ModeState& mode = modes_[index];
  if (mode.running == 0 && queue_.size(index) == 0) return false;
  return !mode.was_empty || mode.empty_at != changes_;
}

void Scheduler::drop_cache() {
  pages_.drop_idle();
  ++changes_;
}

SequenceState Scheduler::state(SequenceId id) const {
  const Sequence* sequence = find(id);
  HALFTONE_CHECK(sequence != nullptr);
  return {.mode = sequence->mode,
          .prompt_tokens = sequence->prompt_tokens,
          .generated_tokens = sequence->size() - sequence->prompt_tokens,
          .computed_tokens = sequence->computed,
          .cached_tokens = sequence->cached_tokens,
          .pages = static_cast<int64_t>(sequence->pages.size()),
          .waiting = !sequence->running,
          .was_scheduled = sequence->was_scheduled};
}

}  // namespace halftone
