#include "server/text/stop_strings.h"

#include <algorithm>
#include <utility>

namespace halftone {
namespace {

// fallback[n]: of the first n bytes, the longest proper beginning that is also their end.
std::vector<size_t> fallbacks_of(const std::string& text) {
  std::vector<size_t> fallback(text.size() + 1, 0);
  for (size_t n = 1, k = 0; n < text.size(); ++n) {
    while (k > 0 && text[n] != text[k]) k = fallback[k];
    if (text[n] == text[k]) ++k;
    fallback[n + 1] = k;
  }
  return fallback;
}

}  // namespace

StopStrings::StopStrings(std::vector<std::string> stops) {
  for (auto& text : stops) {
    auto fallback = fallbacks_of(text);
    patterns_.push_back({std::move(text), std::move(fallback), 0});
  }
}

size_t StopStrings::advance(Pattern& pattern, char c) {
  if (pattern.text.empty()) return 0;
  size_t& n = pattern.matched;
  if (n == pattern.text.size()) n = pattern.fallback[n];
  while (n > 0 && pattern.text[n] != c) n = pattern.fallback[n];
  if (pattern.text[n] == c) ++n;
  return n;
}

StopStrings::Result StopStrings::push(std::string_view text) {
  held_ += text;
  size_t keep = 0;
  for (size_t at = held_.size() - text.size(); at < held_.size(); ++at) {
    keep = 0;
    std::optional<size_t> found;
    for (size_t i = 0; i < patterns_.size(); ++i) {
      const size_t matched = advance(patterns_[i], held_[at]);
      keep = std::max(keep, matched);
      const bool whole = matched > 0 && matched == patterns_[i].text.size();
      if (whole && (!found || matched > patterns_[*found].text.size())) found = i;
    }
    if (!found) continue;
    Result result{held_.substr(0, at + 1 - patterns_[*found].text.size()), found};
    held_.clear();
    return result;
  }
  if (text.empty()) return {};
  Result result{held_.substr(0, held_.size() - keep), std::nullopt};
  held_.erase(0, held_.size() - keep);
  return result;
}

std::string StopStrings::flush() {
  for (Pattern& pattern : patterns_) pattern.matched = 0;
  return std::exchange(held_, {});
}

}  // namespace halftone
