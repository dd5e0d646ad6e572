#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/contract/exp.h"
#include "kernels/reference/lane_sum.h"
#include "kernels/reference/operations.h"

namespace halftone::reference {
namespace {

float logsumexp(const std::vector<float>& row) {
  const float max = *std::max_element(row.begin(), row.end());
  LaneSum sum;
  for (size_t id = 0; id < row.size(); ++id) sum.add(static_cast<int64_t>(id), exp_ordered(row[id] - max));
  return static_cast<float>(static_cast<double>(max) + std::log(static_cast<double>(sum.total())));
}

// The best `count` values of the row by descending value, then ascending id.
std::vector<LogitCandidate> best_of(std::vector<LogitCandidate> all, int64_t count) {
  std::sort(all.begin(), all.end(), [](const LogitCandidate& a, const LogitCandidate& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
  });
  all.resize(std::min(all.size(), static_cast<size_t>(count)));
  return all;
}

// Everything but -infinity, which a mask in the model itself may have left.
std::vector<LogitCandidate> candidates_of(const std::vector<float>& row) {
  std::vector<LogitCandidate> all;
  for (size_t id = 0; id < row.size(); ++id) {
    if (row[id] > -HUGE_VALF) all.push_back({static_cast<int32_t>(id), row[id], row[id]});
  }
  return all;
}

}  // namespace

void reduce_logits(LogitReduction& row) {
  std::vector<float> values(row.logits, row.logits + row.vocabulary);
  row.logsumexp = logsumexp(values);
  row.finite = std::isfinite(row.logsumexp);
  if (!row.finite) return;
  std::vector<LogitCandidate> candidates = candidates_of(values);
  row.raw = best_of(candidates, row.raw_best);
  if (row.target >= 0) {
    row.target_logit = values[static_cast<size_t>(row.target)];
    row.target_rank = 1;
    for (float value : values) row.target_rank += value > row.target_logit;
  }
  if (row.edited_best == 0) return;
  for (const LogitEdit& edit : row.edits) {
    float& value = values[static_cast<size_t>(edit.id)];
    value = edit.apply(row.logits[edit.id]);
    std::erase_if(candidates, [&](const LogitCandidate& candidate) { return candidate.id == edit.id; });
    candidates.push_back({edit.id, value, row.logits[edit.id]});
  }
  row.edited = best_of(std::move(candidates), row.edited_best);
  for (float& value : values) value = value * row.inverse_temperature;
  row.edited_logsumexp = logsumexp(values);
}

}  // namespace halftone::reference
