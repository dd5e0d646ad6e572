// What goes into the scheduler and what comes out of it: plain values.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "server/scheduler/ids.h"

namespace halftone {

struct SchedulerConfig {
  int64_t pages = 0;                 // of the arena, shared by all modes
  std::vector<int64_t> page_tokens;  // by mode: tokens that one page holds (kv8 more than kv16)
  int64_t max_running = 64;          // sequences with pages, of all modes
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

// What one sequence does in a step: tokens [first, first + count) of its own are computed and stored.
struct PlannedSequence {
  SequenceId id = 0;
  int64_t first = 0;  // position of the first token of this chunk
  int64_t count = 0;
  int64_t recomputed = 0;           // of them, the first ones: computed before, then lost by preemption
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
  int64_t pages = 0;
  bool waiting = true;         // in the queue (never run yet, or preempted)
  bool was_scheduled = false;  // at least once
};

struct PageCounts {
  int64_t free = 0, used = 0, cached = 0;  // cached: only the prefix cache holds them; used + free + cached = all
};

struct PrefixCacheCounts {
  int64_t queried_tokens = 0, hit_tokens = 0;  // counted once per request
};

}  // namespace halftone
