// The numbers that people may give, in requests, in checkpoint files and as flags. One table: what a file may set as a
// default is what a request may say. Any thread; no state.
#pragma once

#include <charconv>
#include <string>

#include "absl/strings/str_cat.h"

namespace halftone {

// The shortest digits that read back as the same number, so that no two numbers look alike.
template <class Number>
std::string number_text(Number value) {
  char digits[64];
  return std::string(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
}

// An interval as people write it: "[0, 1)". Ends that are themselves allowed are closed.
struct NumberRange {
  double low = 0, high = 0;
  bool low_closed = true, high_closed = true;

  // False for NaN.
  bool contains(double value) const {
    return (low_closed ? value >= low : value > low) && (high_closed ? value <= high : value < high);
  }
  std::string text() const {
    return absl::StrCat(low_closed ? "[" : "(", number_text(low), ", ", number_text(high), high_closed ? "]" : ")");
  }
};

namespace ranges {

// Of scalars whose bounds do not depend on the model; the proto says the same.
inline constexpr NumberRange kTemperature{0, 100};
inline constexpr NumberRange kTopP{0, 1, false, true};
inline constexpr NumberRange kTopK{0, 4294967295};
inline constexpr NumberRange kMinP{0, 1, true, false};
inline constexpr NumberRange kRepetition{0, 100, false, true};
inline constexpr NumberRange kPenalty{-100, 100};
inline constexpr NumberRange kBias{-100, 100};
inline constexpr NumberRange kPriority{-100, 100};
inline constexpr NumberRange kSeconds{0, 86400, false, true};  // of a request's own time limits
inline constexpr NumberRange kDrainSeconds{0, 86400};          // of the server's flags
inline constexpr NumberRange kKeepaliveSeconds{0.01, 86400};
inline constexpr NumberRange kQueueRequests{1, 16777216};
inline constexpr NumberRange kQueueTokens{1, 1099511627776};
inline constexpr NumberRange kKvBytes{0, 1125899906842624};  // 0: of the server's own choice
inline constexpr NumberRange kContextTokens{1, 16777216};    // a model's trained context, and --max-context

}  // namespace ranges
}  // namespace halftone
