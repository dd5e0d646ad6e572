// Decides what runs next: which sequences, how many of their tokens, on which pages. Integers only: no device, no
// clock, no text. Engine thread only.
//
//   (add | cancel | plan accept)*      after each plan() that is not empty comes exactly one accept() with its results
//
// A sequence waits, runs (has pages) and ends (pages freed, full ones stay in the prefix cache). The queue is in order
// of arrival, where a point of priority counts as kPriorityPoint of arriving earlier: so no priority starves another.
// When pages run out, the last in that order of all that run, of any mode, is preempted: it goes back to its place in
// the queue and is recomputed later: its generated tokens become part of what has to be computed again.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "server/scheduler/scheduler_types.h"
#include "server/scheduler/sequence.h"
#include "server/scheduler/sequence_pages.h"
#include "server/scheduler/waiting_queue.h"

namespace halftone {

class Scheduler {
 public:
  explicit Scheduler(SchedulerConfig config);

  // The new sequence, or nothing where max_tokens would need more pages than there are. The queue has no bound here:
  // the engine's door has one.
  std::optional<SequenceId> add(SequenceSpec spec, Nanoseconds now);
  // Frees pages and queue place at once. Of a step in flight the spans stay valid and the pages stay used until
  // accept(), which ignores the result and lets the cache have nothing of that step: so a failed step is one whose
  // sequences were all cancelled before accept(). An id that is not alive is ignored.
  void cancel(SequenceId id);

  // At most `token_budget` tokens, but always one for each running sequence of the mode and at least
  // `min_prompt_tokens` of prompt where there is some.
  // A sequence that finds no page and has nobody behind it to take one from waits; one that was preempted starts at
  // position 0 again, or after what the prefix cache still has. An empty plan has no preempted ones and no accept().
  StepPlan plan(ModeIndex mode, int64_t token_budget, int64_t min_prompt_tokens);
  // A sequence that samples must have got a token or ended; another may end, but gets no token.
  void accept(const StepPlan& plan, std::span<const StepResult> results);

  // Something runs, or waits and could start; false after an empty plan until something changes. When anything is alive
  // and no step in flight, at least one mode has work and, of those that have, at least one has a plan that is not
  // empty.
  bool has_work(ModeIndex mode) const;
  int64_t running(ModeIndex mode) const { return modes_[mode].running; }
  int64_t waiting(ModeIndex mode) const { return queue_.size(mode); }
  // To be computed; of preempted ones the generated tokens too.
  int64_t waiting_tokens(ModeIndex mode) const { return queue_.tokens(mode); }
  SequenceState state(SequenceId id) const;  // of a living sequence
  bool alive(SequenceId id) const { return find(id) != nullptr; }
  PageCounts page_counts() const { return pages_.counts(); }
  int64_t pages_of(ModeIndex mode) const { return pages_.held_by(mode); }  // used ones, shared pages counted once
  PrefixCacheCounts prefix_cache_counts(ModeIndex mode) const { return modes_[mode].prefix_counts; }
  void drop_cache();  // every page that only the cache holds becomes free

  // Ends the process when an invariant does not hold (pages add up, no page in two private tables, queue counters
  // true).
  void check_invariants() const;

 private:
  struct ModeState {
    int64_t running = 0;
    PrefixCacheCounts prefix_counts;
    bool head_is_blocked = false;  // its first waiting one found no page or no place when last looked at
    bool was_empty = false;        // its last plan had nothing, and that was at change number empty_at
    uint64_t empty_at = 0;
  };
  struct Chunk {
    Sequence* sequence = nullptr;
    int64_t first = 0;
    int64_t count = 0;
  };

  // plan.cc
  void plan_decodes(ModeIndex mode, StepPlan* plan);
  int64_t plan_prompts(ModeIndex mode, int64_t budget, StepPlan* plan);  // the budget that is left
  void admit(ModeIndex mode, int64_t budget, StepPlan* plan);
  bool may_start(Sequence& candidate);
  bool stands_behind_another_mode(const Sequence& candidate) const;
  int64_t promised_pages() const;
  void start(Sequence& sequence);
  bool make_room(Sequence& asker, int64_t tokens, StepPlan* plan);
  bool could_have(const Sequence& asker, int64_t lacking);
  void preempt(Sequence& victim, StepPlan* plan);
  void add_chunk(Sequence& sequence, int64_t count, StepPlan* plan);
  void describe_chunks(StepPlan* plan);

  // scheduler.cc
  const Sequence* find(SequenceId id) const;  // null when it is not alive
  void take_result(const Chunk& chunk, const StepResult& result);
  void leave_running(Sequence& sequence);
  void end(Sequence& sequence);  // destroys it

  // invariants.cc
  void check_sequences() const;

  const SchedulerConfig config_;
  SequencePages pages_;
  WaitingQueue queue_;
  std::unordered_map<SequenceId, std::unique_ptr<Sequence>> sequences_;
  std::vector<Sequence*> running_;  // of all modes, by runs_before
  std::vector<ModeState> modes_;
  std::vector<Chunk> chunks_;                 // of the step being planned or in flight
  SequencePages::Prefix prefix_;              // of the candidate looked at last; kept for its memory
  const Sequence* short_of_pages_ = nullptr;  // waits for pages in this plan: nobody behind it may take any
  uint64_t changes_ = 0;                      // counts whatever could make an empty plan a full one
  SequenceId next_id_ = 1;
};

}  // namespace halftone
