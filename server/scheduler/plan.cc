// How the next step is made. Three rules keep it free of deadlock and starvation:
//   - pages are taken only from sequences that stand behind the asker, and only when that will be enough for it;
//   - one starts only when pages for all of it are there, beyond those promised to prompts already running;
//   - while the first waiting one of a mode finds no room, no later one of any mode starts.
// So the first in line of all that run always goes on, and when none runs the first that waits starts.
#include <algorithm>

#include "kernels/contract/check.h"
#include "server/scheduler/scheduler.h"

namespace halftone {

StepPlan Scheduler::plan(ModeIndex mode, int64_t token_budget, int64_t min_prompt_tokens) {
  HALFTONE_CHECK(chunks_.empty());
  StepPlan plan;
  plan.mode = mode;
  short_of_pages_ = nullptr;
  modes_[mode].head_is_blocked = false;

  plan_decodes(mode, &plan);
  const int64_t prompt_budget = std::max(token_budget - plan.decode_sequences, min_prompt_tokens);
  const int64_t left = plan_prompts(mode, prompt_budget, &plan);
  admit(mode, left, &plan);
  describe_chunks(&plan);

  modes_[mode].was_empty = plan.empty() && prompt_budget > 0;
  modes_[mode].empty_at = changes_;
  return plan;
}

// Victims stand behind the asker, so walking forward by index never meets a gap.
void Scheduler::plan_decodes(ModeIndex mode, StepPlan* plan) {
  for (size_t i = 0; i < running_.size(); ++i) {
    Sequence& sequence = *running_[i];
    if (sequence.mode != mode || !sequence.decodes() || !make_room(sequence, sequence.size(), plan)) continue;
    add_chunk(sequence, 1, plan);
    ++plan->decode_sequences;
  }
}

int64_t Scheduler::plan_prompts(ModeIndex mode, int64_t budget, StepPlan* plan) {
  for (size_t i = 0; i < running_.size() && budget > 0; ++i) {
    Sequence& sequence = *running_[i];
    if (sequence.mode != mode || sequence.decodes()) continue;
    const int64_t count = std::min(budget, sequence.remaining());
    if (!make_room(sequence, sequence.computed + count, plan)) continue;
    add_chunk(sequence, count, plan);
    budget -= count;
  }
  return budget;
}

void Scheduler::admit(ModeIndex mode, int64_t budget, StepPlan* plan) {
  while (budget > 0) {
    Sequence* candidate = queue_.first(mode);
    if (candidate == nullptr) return;
    // Where a sequence was preempted there is no room, even if the same one would now find more in the cache.
    if (!plan->preempted.empty() || !may_start(*candidate)) {
      modes_[mode].head_is_blocked = true;
      return;
    }
    start(*candidate);
    const int64_t count = std::min(budget, candidate->remaining());
    HALFTONE_CHECK(pages_.extend(*candidate, candidate->computed + count));
    add_chunk(*candidate, count, plan);
    budget -= count;
  }
}

bool Scheduler::may_start(Sequence& candidate) {
  if (short_of_pages_ != nullptr || static_cast<int64_t>(running_.size()) >= config_.max_running) return false;
  if (stands_behind_another_mode(candidate)) return false;
  pages_.find_prefix(candidate, &prefix_);
  const int64_t needed =
      pages_.pages_for(candidate.mode, candidate.size()) - static_cast<int64_t>(prefix_.pages.size());
  // Re-admit a preempted sequence only if one spare page per running sequence remains; otherwise the next tokens of
  // those would soon preempt it again.
  const int64_t spare = candidate.was_preempted ? static_cast<int64_t>(running_.size()) : 0;
  return needed + promised_pages() + spare <= pages_.available() - prefix_.idle;
}

bool Scheduler::stands_behind_another_mode(const Sequence& candidate) const {
  for (size_t mode = 0; mode < modes_.size(); ++mode) {
    if (!modes_[mode].head_is_blocked) continue;
    const Sequence* first = queue_.first(static_cast<ModeIndex>(mode));
    if (first != nullptr && runs_before(*first, candidate)) return true;
  }
  return false;
}

int64_t Scheduler::promised_pages() const {
  int64_t promised = 0;
  for (const Sequence* sequence : running_) promised += pages_.missing(*sequence, sequence->size());
  return promised;
}

void Scheduler::start(Sequence& sequence) {
  queue_.remove(sequence);
  running_.insert(std::upper_bound(running_.begin(), running_.end(), &sequence,
                                   [](const Sequence* a, const Sequence* b) { return runs_before(*a, *b); }),
                  &sequence);
  ++modes_[sequence.mode].running;
  sequence.running = true;
  pages_.take_prefix(sequence, prefix_);
  if (sequence.was_scheduled) return;
  sequence.was_scheduled = true;
  sequence.cached_tokens = sequence.ever_computed = sequence.computed;
  if (!config_.prefix_cache || !sequence.use_prefix_cache) return;
  modes_[sequence.mode].prefix_counts.queried_tokens += sequence.prompt_tokens;
  modes_[sequence.mode].prefix_counts.hit_tokens += sequence.cached_tokens;
}

bool Scheduler::make_room(Sequence& asker, int64_t tokens, StepPlan* plan) {
  const int64_t lacking = pages_.missing(asker, tokens);
  if (lacking == 0) return true;
  // After one that found too little, all behind it would look in vain.
  if (short_of_pages_ != nullptr && runs_before(*short_of_pages_, asker)) return false;
  if (lacking > pages_.available()) {
    if (!could_have(asker, lacking)) {
      short_of_pages_ = &asker;
      return false;
    }
    while (lacking > pages_.available()) preempt(*running_.back(), plan);
  }
  return pages_.extend(asker, tokens);
}

// Whether preempting all that stand behind the asker would be enough; exact although pages are shared.
bool Scheduler::could_have(const Sequence& asker, int64_t lacking) {
  int64_t kept = 0;
  pages_.begin_count();
  for (const Sequence* sequence : running_) {
    kept += pages_.count(*sequence);
    if (sequence == &asker) break;
  }
  return kept + lacking <= pages_.total();
}

void Scheduler::preempt(Sequence& victim, StepPlan* plan) {
  const auto chunk =
      std::find_if(chunks_.begin(), chunks_.end(), [&](const Chunk& c) { return c.sequence == &victim; });
  if (chunk != chunks_.end()) {
    plan->tokens -= chunk->count;
    if (chunk - chunks_.begin() < plan->decode_sequences) --plan->decode_sequences;
    chunks_.erase(chunk);
  }
  leave_running(victim);
  pages_.release(victim);
  victim.was_preempted = true;
  queue_.add(victim);
  plan->preempted.push_back(victim.id);
}

void Scheduler::add_chunk(Sequence& sequence, int64_t count, StepPlan* plan) {
  chunks_.push_back({.sequence = &sequence, .first = sequence.computed, .count = count});
  plan->tokens += count;
}

// Comes last: a sequence may be preempted after its chunk was planned.
void Scheduler::describe_chunks(StepPlan* plan) {
  plan->sequences.reserve(chunks_.size());
  for (const Chunk& chunk : chunks_) {
    Sequence& sequence = *chunk.sequence;
    const int64_t end = chunk.first + chunk.count;
    sequence.in_flight = true;
    plan->sequences.push_back({.id = sequence.id,
                               .first = chunk.first,
                               .count = chunk.count,
                               .recomputed = std::clamp<int64_t>(sequence.ever_computed - chunk.first, 0, chunk.count),
                               .samples = end == sequence.size(),
                               .tokens = std::span(sequence.tokens).subspan(chunk.first, chunk.count),
                               .pages = std::span(sequence.pages).first(pages_.pages_for(sequence.mode, end))});
  }
}

}  // namespace halftone
