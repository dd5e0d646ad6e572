// The seam between engine and hardware: one model, loaded by whoever made the executor, on one or more devices. Engine
// thread only.
//
//   (submit wait)*
//
// Any number of new tokens and of wanted logit rows per sequence, weights and KV pages chosen apart: generation,
// scores, prompt log-probabilities and (later) speculative verification are all the same call.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/executor/mode_facts.h"
#include "server/executor/sampling.h"
#include "server/scheduler/ids.h"

namespace halftone {

// One wanted row of logits, for the token at index `token` of its sequence's chunk.
struct LogitRow {
  int64_t token = 0;
  const SamplingParams* sampling = nullptr;  // null: nothing is drawn, `target` is only scored
  int32_t target = -1;                       // the id to score when nothing is drawn
  uint32_t top = 0;                          // the number of best candidates to report
  std::span<const TokenCount> counts;  // for penalties, each id once; best ascending by id; empty where there are none
  std::span<const int32_t> banned;     // ids that may not be drawn (end tokens before min_new_tokens)
};

struct StepSequence {
  std::span<const int32_t> tokens;  // new ones; stored in the pages and computed
  int64_t first_position = 0;
  std::span<const PageId> pages;   // covers positions [0, first_position + tokens.size())
  std::span<const LogitRow> rows;  // ascending by token
};

struct StepInput {
  ModeIndex weights = 0;  // whose weights and activations
  ModeIndex kv = 0;       // in whose KV format the pages are
  std::span<const StepSequence> sequences;
};

struct StepOutput {
  std::vector<RowResult> rows;  // of all sequences, in the input's order
  Nanoseconds device_time = 0;  // of this step alone
  double flops = 0;             // multiply-adds count two, integer ones too
  double bytes_moved = 0;       // weights, KV and activations that the step had to read or write
  double floor_seconds = 0;     // the least that this could take on the device; 0: its floor was not measured
};

class Executor {
 public:
  virtual ~Executor() = default;

  virtual int64_t vocabulary() const = 0;
  virtual int64_t context() const = 0;  // tokens of the longest sequence
  virtual int64_t max_step_tokens() const = 0;
  virtual int64_t max_step_rows() const = 0;
  virtual int64_t pages() const = 0;
  virtual uint64_t page_bytes() const = 0;
  virtual std::span<const ModeFacts> modes() const = 0;

  // The tokens that a step of `mode` may hold to last about `budget`: at least 1, at most max_step_tokens(). Judged by
  // the number of tokens alone, however long their contexts are.
  virtual int64_t tokens_for(ModeIndex mode, Nanoseconds budget) const = 0;
  // Estimated device time of computing `tokens` prompt tokens.
  virtual Nanoseconds prefill_time(ModeIndex mode, int64_t tokens) const = 0;

  // The number of pages that each mode uses now (the rest are free or cached), for the account of memory. Moves no
  // page.
  virtual void report_page_use(std::span<const int64_t> by_mode) = 0;

  // Takes the step; whether it is computed here or in wait() is the executor's choice. Everything that the input points
  // to stays alive and unchanged until wait() returns. One step at a time.
  virtual absl::Status submit(const StepInput& input) = 0;
  // An error is fatal for the executor: INTERNAL with what happened.
  virtual absl::StatusOr<StepOutput> wait() = 0;
};

}  // namespace halftone
