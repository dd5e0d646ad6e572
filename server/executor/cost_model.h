// Guesses how long a step will take, from the steps that there were: time = (base + tokens * per_token) * correction.
// The lengths of contexts do not enter. One for each mode. Engine thread only.
#pragma once

#include <cstdint>

#include "server/scheduler/ids.h"

namespace halftone {

class CostModel {
 public:
  // Measured once at start: a step of one token and one of `tokens`.
  void calibrate(Nanoseconds one_token, Nanoseconds many_tokens, int64_t tokens);
  // A finished step corrects the guess slowly.
  void observe(int64_t tokens, Nanoseconds time);

  Nanoseconds step_time(int64_t tokens) const;
  // The most tokens of a step that should last at most `budget`; at least 1.
  int64_t tokens_for(Nanoseconds budget) const;

 private:
  double base_ = 5e6;       // ns
  double per_token_ = 1e6;  // ns
  double correction_ = 1;   // what steps really took over what was guessed
};

}  // namespace halftone
