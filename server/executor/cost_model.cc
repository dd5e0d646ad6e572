#include "server/executor/cost_model.h"

#include <algorithm>

namespace halftone {

void CostModel::calibrate(Nanoseconds one_token, Nanoseconds many_tokens, int64_t tokens) {
  double first = static_cast<double>(one_token), all = static_cast<double>(many_tokens);
  per_token_ =
      std::max({(all - first) / static_cast<double>(tokens - 1), all / static_cast<double>(tokens) * 0.1, 1.0});
  base_ = std::max(first - per_token_, 0.0);
}

void CostModel::observe(int64_t tokens, Nanoseconds time) {
  double guess = base_ + per_token_ * static_cast<double>(tokens);
  // One slow step on a busy machine must not starve the prompts of the next seconds.
  double ratio = std::clamp(static_cast<double>(time) / guess, 0.25, 4.0);
  correction_ += 0.1 * (ratio - correction_);
}

Nanoseconds CostModel::step_time(int64_t tokens) const {
  return static_cast<Nanoseconds>((base_ + per_token_ * static_cast<double>(tokens)) * correction_);
}

int64_t CostModel::tokens_for(Nanoseconds budget) const {
  double tokens = (static_cast<double>(budget) / correction_ - base_) / per_token_;
  return std::max<int64_t>(1, static_cast<int64_t>(std::min(tokens, 1e9)));
}

}  // namespace halftone
