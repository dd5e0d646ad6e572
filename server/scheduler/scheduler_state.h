// What is behind Scheduler: the living sequences, who runs, who waits, the step in flight. Used by this folder's
// scheduler.cc (requests and results), plan.cc (the next step) and invariants.cc only. Engine thread only.
#pragma once

#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "server/scheduler/scheduler.h"
#include "server/scheduler/sequence.h"
#include "server/scheduler/sequence_pages.h"
#include "server/scheduler/waiting_queue.h"

namespace halftone {

class Scheduler::State {
 public:
  explicit State(SchedulerConfig config);

  AddResult add(SequenceSpec spec, Nanoseconds now, SequenceId* id);
  void cancel(SequenceId id);
  StepPlan plan(ModeIndex mode, int64_t token_budget, int64_t min_prompt_tokens, Nanoseconds now);
  void accept(const StepPlan& plan, std::span<const StepResult> results);

  bool has_work(ModeIndex mode) const;
  int64_t running(ModeIndex mode) const { return modes_[mode].running; }
  const WaitingQueue& queue() const { return queue_; }
  const SequencePages& pages() const { return pages_; }
  const PrefixCacheCounts& prefix_counts(ModeIndex mode) const { return modes_[mode].prefix_counts; }
  const Sequence* find(SequenceId id) const;  // null when it is not alive
  void drop_cache();
  void check_invariants() const;

 private:
  struct Mode {
    int64_t running = 0;
    PrefixCacheCounts prefix_counts;
    bool head_is_blocked = false;  // its first waiting one found no page or no place when last looked at
    bool was_empty = false;        // its last plan had nothing, and that was at change number empty_at_
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
  void admit(ModeIndex mode, int64_t budget, Nanoseconds now, StepPlan* plan);
  bool may_start(Sequence& candidate);
  bool stands_behind_another_mode(const Sequence& candidate) const;
  int64_t promised_pages() const;
  void start(Sequence& sequence, Nanoseconds now);
  bool make_room(Sequence& asker, int64_t tokens, StepPlan* plan);
  bool could_have(const Sequence& asker, int64_t lacking);
  void preempt(Sequence& victim, StepPlan* plan);
  void add_chunk(Sequence& sequence, int64_t count, StepPlan* plan);
  void describe_chunks(StepPlan* plan);

  // scheduler.cc
  void take_result(const Chunk& chunk, const StepResult& result);
  void leave_running(Sequence& sequence);
  void end(Sequence& sequence);  // destroys it

  void check_sequences() const;

  const SchedulerConfig config_;
  SequencePages pages_;
  WaitingQueue queue_;
  std::unordered_map<SequenceId, std::unique_ptr<Sequence>> sequences_;
  std::vector<Sequence*> running_;  // of all modes, by runs_before
  std::vector<Mode> modes_;
  std::vector<Chunk> chunks_;                 // of the step being planned or in flight
  SequencePages::Prefix prefix_;              // of the candidate looked at last; kept for its memory
  const Sequence* short_of_pages_ = nullptr;  // waits for pages in this plan: nobody behind it may take any
  uint64_t changes_ = 0;                      // counts whatever could make an empty plan a full one
  SequenceId next_id_ = 1;
};

}  // namespace halftone
