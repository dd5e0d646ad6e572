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
#include <span>
#include <string>
#include <vector>

#include "server/scheduler/ids.h"

namespace halftone {

struct SchedulerConfig {
  int64_t pages = 0;                 // of the arena, shared by all modes
  std::vector<int64_t> page_tokens;  // by mode: tokens that one page holds (kv8 more than kv16)
  int64_t max_running = 64;          // sequences with pages, of all modes
  int64_t queue_requests = 1024;     // waiting ones at most
  int64_t queue_tokens = 1 << 20;    // prompt tokens of waiting ones at most
  bool prefix_cache = true;
  uint64_t hash_key = 0;  // of the prefix cache; drawn at random, nobody can aim at collisions
};

struct SequenceSpec {
  ModeIndex mode = 0;
  std::vector<int32_t> prompt;
  int64_t max_tokens = 0;        // prompt and generated together; the context or what the request allows
  int32_t priority = 0;          // higher runs earlier, by kPriorityPoint each
  std::string cache_salt;        // prefixes are shared only between equal salts
  bool use_prefix_cache = true;  // false where every prompt row is wanted (scores, prompt log-probabilities)
};

enum class AddResult { kAdded, kQueueRequestsFull, kQueueTokensFull, kNeverFits };

// What one sequence does in a step: tokens [first, first + count) of its own are computed and stored.
struct PlannedSequence {
  SequenceId id = 0;
  int64_t first = 0;  // position of the first token of this chunk
  int64_t count = 0;
  bool samples = false;             // the chunk reaches the sequence's last token: one new token is wanted
  std::span<const int32_t> tokens;  // the chunk's ids [count]; valid until accept()
  std::span<const PageId> pages;    // page table covering positions [0, first + count); valid until accept()
};

struct StepPlan {
  ModeIndex mode = 0;
  std::vector<PlannedSequence> sequences;  // decodes first, then prompt chunks
  int64_t tokens = 0;                      // sum of counts
  int64_t decode_sequences = 0;            // count == 1 and samples, after the first token
  std::vector<SequenceId> preempted;       // while this plan was made
  bool empty() const { return sequences.empty(); }
};

// What came of a planned sequence, in the plan's order. A token is appended where there is one; an ended sequence frees
// its pages.
struct StepResult {
  SequenceId id = 0;
  bool has_token = false;
  int32_t token = 0;
  bool ended = false;
};

struct SequenceState {
  ModeIndex mode = 0;
  int64_t prompt_tokens = 0;
  int64_t generated_tokens = 0;
  int64_t computed_tokens = 0;  // stored in pages now
  int64_t cached_tokens = 0;    // found in the prefix cache when it was first scheduled
  int64_t recomputed_tokens = 0;
  int64_t preemptions = 0;
  int64_t pages = 0;
  int64_t peak_pages = 0;
  bool waiting = true;         // in the queue (never run yet, or preempted)
  bool was_scheduled = false;  // at least once
  Nanoseconds added_at = 0;
  Nanoseconds first_scheduled_at = 0;  // where was_scheduled
};

struct PageCounts {
  int64_t free = 0, used = 0, cached = 0;  // cached: only the prefix cache holds them; used + free + cached = all
};

struct PrefixCacheCounts {
  int64_t queried_tokens = 0, hit_tokens = 0;  // counted once per request
};

class Scheduler {
 public:
  explicit Scheduler(SchedulerConfig config);
  ~Scheduler();

  // kNeverFits: max_tokens would need more pages than there are. On kAdded *id is the new sequence.
  AddResult add(SequenceSpec spec, Nanoseconds now, SequenceId* id);
  // Frees pages and queue place at once. Of a step in flight the spans stay valid and the pages stay used until
  // accept(), which ignores the result and lets the cache have nothing of that step: so a failed step is one whose
  // sequences were all cancelled before accept(). An id that is not alive is ignored.
  void cancel(SequenceId id);

  // At most `token_budget` tokens, but always one for each running sequence of the mode and at least
  // `min_prompt_tokens` of prompt where there is some. The time of the first scheduling of a sequence is `now`.
  // A sequence that finds no page and has nobody behind it to take one from waits; one that was preempted starts at
  // position 0 again, or after what the prefix cache still has. An empty plan has no preempted ones and no accept().
  StepPlan plan(ModeIndex mode, int64_t token_budget, int64_t min_prompt_tokens, Nanoseconds now);
  // A sequence that samples must have got a token or ended; another may end, but gets no token.
  void accept(const StepPlan& plan, std::span<const StepResult> results, Nanoseconds now);

  // Something runs, or waits and could start; false after an empty plan until something changes. When anything is alive
  // and no step in flight, at least one mode has work and, of those that have, at least one has a plan that is not
  // empty.
  bool has_work(ModeIndex mode) const;
  int64_t running(ModeIndex mode) const;
  int64_t waiting(ModeIndex mode) const;
  int64_t waiting_tokens(ModeIndex mode) const;  // to be computed: of preempted ones the generated tokens too
  SequenceState state(SequenceId id) const;      // of a living sequence
  bool alive(SequenceId id) const;
  PageCounts page_counts() const;
  int64_t pages_of(ModeIndex mode) const;  // used ones, shared pages counted once
  PrefixCacheCounts prefix_cache_counts(ModeIndex mode) const;
  void drop_cache();  // every page that only the cache holds becomes free

  // Ends the process when an invariant does not hold (pages add up, no page in two private tables, queue counters
  // true).
  void check_invariants() const;

 private:
  class State;
  std::unique_ptr<State> state_;
};

}  // namespace halftone
