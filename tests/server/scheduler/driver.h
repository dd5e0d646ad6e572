// Runs a scheduler by hand in tests: a step gives every sequence that samples the next token of a fixed row, and ends
// it when it has as many tokens as it may have.
#pragma once

#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "server/scheduler/scheduler.h"

namespace halftone {

inline SchedulerConfig scheduler_config(int64_t pages, std::vector<int64_t> page_tokens = {4}) {
  SchedulerConfig config;
  config.pages = pages;
  config.page_tokens = std::move(page_tokens);
  return config;
}

// A prompt that starts like no other with another `first_token`.
inline SequenceSpec request(int64_t prompt_tokens, int64_t max_tokens, int32_t first_token = 0) {
  SequenceSpec spec;
  spec.prompt.resize(prompt_tokens);
  std::iota(spec.prompt.begin(), spec.prompt.end(), first_token);
  spec.max_tokens = max_tokens;
  return spec;
}

class Driver {
 public:
  explicit Driver(SchedulerConfig config) : scheduler_(std::move(config)) {}

  SequenceId add(SequenceSpec spec) {  // one that fits
    return scheduler_.add(std::move(spec), now_).value();
  }

  StepPlan plan(ModeIndex mode = 0, int64_t budget = 1000, int64_t min_prompt_tokens = 1) {
    StepPlan plan = scheduler_.plan(mode, budget, min_prompt_tokens);
    ++now_;
    scheduler_.check_invariants();
    return plan;
  }

  void accept(const StepPlan& plan) {
    if (plan.empty()) return;
    std::vector<StepResult> results;
    for (const PlannedSequence& planned : plan.sequences) {
      StepResult result{.id = planned.id};
      if (planned.samples && scheduler_.alive(planned.id)) {
        result.token = 1000 + static_cast<int32_t>(planned.first);
        result.has_token = !is_full(planned.id);
        result.ended = !result.has_token;
      }
      results.push_back(result);
    }
    scheduler_.accept(plan, results);
    ++now_;
    scheduler_.check_invariants();
  }

  StepPlan step(ModeIndex mode = 0, int64_t budget = 1000, int64_t min_prompt_tokens = 1) {
    StepPlan plan = this->plan(mode, budget, min_prompt_tokens);
    accept(plan);
    return plan;
  }

  Scheduler& operator*() { return scheduler_; }
  Scheduler* operator->() { return &scheduler_; }
  Nanoseconds now() const { return now_; }
  void pass(Nanoseconds time) { now_ += time; }
  void limit(SequenceId id, int64_t tokens) { limits_.emplace_back(id, tokens); }  // ends when it has that many

 private:
  bool is_full(SequenceId id) const {
    const SequenceState state = scheduler_.state(id);
    for (const auto& [limited, tokens] : limits_) {
      if (limited == id && state.prompt_tokens + state.generated_tokens >= tokens) return true;
    }
    return false;
  }

  Scheduler scheduler_;
  Nanoseconds now_ = 0;
  std::vector<std::pair<SequenceId, int64_t>> limits_;
};

}  // namespace halftone
