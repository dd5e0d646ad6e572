// Another executor, and a hand on each step before it is computed and after. For tests; threads as Executor says.
#pragma once

#include <functional>
#include <span>
#include <utility>

#include "server/executor/executor.h"

namespace halftone {

class WatchedExecutor final : public Executor {
 public:
  // The other one outlives this one.
  explicit WatchedExecutor(Executor& executor) : executor_(executor) {}

  // Called on the engine's thread; set before it starts.
  std::function<void(const StepInput&)> before_step = [](const StepInput&) {};
  std::function<void(const StepInput&, StepOutput&)> after_step = [](const StepInput&, StepOutput&) {};

  int64_t vocabulary() const override { return executor_.vocabulary(); }
  int64_t context() const override { return executor_.context(); }
  int64_t max_step_tokens() const override { return executor_.max_step_tokens(); }
  int64_t max_step_rows() const override { return executor_.max_step_rows(); }
  int64_t pages() const override { return executor_.pages(); }
  uint64_t page_bytes() const override { return executor_.page_bytes(); }
  std::span<const ModeFacts> modes() const override { return executor_.modes(); }
  int64_t tokens_for(ModeIndex mode, Nanoseconds budget) const override { return executor_.tokens_for(mode, budget); }
  Nanoseconds prefill_time(ModeIndex mode, int64_t tokens) const override {
    return executor_.prefill_time(mode, tokens);
  }
  void report_page_use(std::span<const int64_t> by_mode) override { executor_.report_page_use(by_mode); }
  absl::Status submit(const StepInput& input) override {
    before_step(input);
    input_ = &input;
    return executor_.submit(input);
  }
  absl::StatusOr<StepOutput> wait() override {
    absl::StatusOr<StepOutput> output = executor_.wait();
    if (output.ok()) after_step(*input_, *output);
    return output;
  }

 private:
  Executor& executor_;
  const StepInput* input_ = nullptr;
};

}  // namespace halftone
