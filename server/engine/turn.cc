#include "server/engine/turn.h"

#include <algorithm>

#include "kernels/contract/check.h"

namespace halftone {

std::optional<ModeIndex> Turn::pick(const std::vector<bool>& has_work, Nanoseconds quantum) {
  HALFTONE_CHECK(has_work.size() == credit_.size() && quantum > 0);
  size_t working = 0;
  for (size_t mode = 0; mode < credit_.size(); ++mode) {
    if (has_work[mode]) {
      ++working;
    } else {
      credit_[mode] = std::min<Nanoseconds>(credit_[mode], 0);
    }
  }
  if (working == 0) return std::nullopt;
  if (working == 1) {
    // Alone, neither credit nor debt means anything.
    while (!has_work[current_]) current_ = (current_ + 1) % credit_.size();
    credit_[current_] = 0;
    return static_cast<ModeIndex>(current_);
  }
  while (!has_work[current_] || credit_[current_] <= 0) {
    current_ = (current_ + 1) % credit_.size();
    if (has_work[current_]) credit_[current_] += quantum;
  }
  return static_cast<ModeIndex>(current_);
}

}  // namespace halftone
