// Chooses the mode that runs the next step: deficit round-robin (Shreedhar and Varghese, 1995) over device time. Each
// mode with work gets the same time in a round, whatever
// its steps cost; a step that took longer than its mode had left is a debt, an idle mode saves nothing. Engine thread
// only.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "server/scheduler/ids.h"

namespace halftone {

class Turn {
 public:
  explicit Turn(size_t modes) : credit_(modes, 0) {}

  // The mode that runs the next step, of those with work; `quantum` (> 0) is what a round gives to each.
  std::optional<ModeIndex> pick(const std::vector<bool>& has_work, Nanoseconds quantum);
  void charge(ModeIndex mode, Nanoseconds device_time) { credit_[static_cast<size_t>(mode)] -= device_time; }

 private:
  std::vector<Nanoseconds> credit_;
  size_t current_ = 0;
};

}  // namespace halftone
