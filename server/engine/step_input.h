// Turns the scheduler's plan into the executor's input and finds each sequence's results again. Engine thread only.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "server/engine/generation.h"
#include "server/executor/executor.h"
#include "server/scheduler/scheduler.h"

namespace halftone {

class StepBuilder {
 public:
  // `generations` are in the plan's order. What the input points to lives until the next build(), and no longer than
  // the plan and the generations.
  const StepInput& build(const StepPlan& plan, std::span<const Generation* const> generations);

  // The rows of the sequence at `index` of the plan.
  std::span<const RowResult> results(const StepOutput& output, size_t index) const;
  size_t rows() const { return rows_.size(); }

 private:
  StepInput input_;
  std::vector<StepSequence> sequences_;
  std::vector<LogitRow> rows_;
  std::vector<size_t> row_ends_;  // by sequence
};

}  // namespace halftone
