// Seconds, as people and protocols give them, to nanoseconds, as the engine counts them: the only place where a double
// becomes a duration. Any thread; no state.
#pragma once

#include <cstdint>
#include <limits>

namespace halftone {

// What does not fit is the longest (or the most negative) duration that does; NaN is none at all.
inline int64_t saturated_nanoseconds(double seconds) {
  constexpr double kLongest = 9.2e9;  // seconds, a little below 2^63 nanoseconds
  if (seconds >= kLongest) return std::numeric_limits<int64_t>::max();
  if (seconds <= -kLongest) return std::numeric_limits<int64_t>::min();
  return seconds == seconds ? static_cast<int64_t>(seconds * 1e9) : 0;
}

// A point in time so long after another; the end of time where the sum does not fit.
inline int64_t saturated_sum(int64_t time, int64_t duration) {
  int64_t sum = 0;
  if (!__builtin_add_overflow(time, duration, &sum)) return sum;
  return duration > 0 ? std::numeric_limits<int64_t>::max() : std::numeric_limits<int64_t>::min();
}

}  // namespace halftone
