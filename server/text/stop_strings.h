// Looks for stop strings in text that arrives in pieces. One matcher per answer; one thread at a time.
// Holds back only what may still become a match; time is linear in the text for each stop string, memory in the
// strings. The result does not depend on how the text was cut into pieces.
//
//   push* (a match | flush)
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace halftone {

class StopStrings {
 public:
  struct Result {
    std::string text;               // may be shown now; ends before the stop string
    std::optional<size_t> matched;  // index of the stop string; nothing may be pushed after it
  };

  // Complete UTF-8 each, so that text is never cut inside a character. An empty one never matches.
  explicit StopStrings(std::vector<std::string> stops);

  // The match that is complete first wins; of those that end together, the longest.
  Result push(std::string_view text);
  // The end without a match: what was held back.
  std::string flush();
  // Bytes held back now.
  size_t held() const { return held_.size(); }
  const std::string& stop(size_t index) const { return patterns_[index].text; }

 private:
  struct Pattern {
    std::string text;
    std::vector<size_t> fallback;  // after a mismatch at i, the next longest beginning that still fits
    size_t matched = 0;            // bytes of `text` that the end of the input equals
  };
  static size_t advance(Pattern& pattern, char c);

  std::vector<Pattern> patterns_;
  std::string held_;
};

}  // namespace halftone
