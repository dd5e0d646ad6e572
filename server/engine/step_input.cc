#include "server/engine/step_input.h"

namespace halftone {

const StepInput& StepBuilder::build(const StepPlan& plan, std::span<const Generation* const> generations) {
  sequences_.clear();
  rows_.clear();
  row_ends_.clear();
  for (size_t i = 0; i < plan.sequences.size(); ++i) {
    const PlannedSequence& chunk = plan.sequences[i];
    generations[i]->append_rows(chunk, &rows_);
    row_ends_.push_back(rows_.size());
    StepSequence sequence;
    sequence.tokens = chunk.tokens;
    sequence.first_position = chunk.first;
    sequence.pages = chunk.pages;
    sequences_.push_back(sequence);
  }
  // Only now do the rows stay where they are.
  size_t begin = 0;
  for (size_t i = 0; i < sequences_.size(); ++i) {
    sequences_[i].rows = std::span(rows_).subspan(begin, row_ends_[i] - begin);
    begin = row_ends_[i];
  }
  input_.weights = plan.mode;
  input_.kv = plan.mode;
  input_.sequences = sequences_;
  return input_;
}

std::span<const RowResult> StepBuilder::results(const StepOutput& output, size_t index) const {
  const size_t begin = index == 0 ? 0 : row_ends_[index - 1];
  return std::span(output.rows).subspan(begin, row_ends_[index] - begin);
}

}  // namespace halftone
