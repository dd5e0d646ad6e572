// What the log says of packing weights while they load: a line at each quarter, with an estimate of the time left. One
// thread.
#pragma once

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>

namespace halftone {

class PackingProgress {
 public:
  // fraction: done of all work, in [0, 1]; seconds: since loading began. The line to log, or nothing before the next
  // quarter. What is left is taken to go as quickly as what is done; weights that a cache held count as done at once,
  // so it may take longer.
  std::optional<std::string> line(double fraction, double seconds) {
    const int quarter = static_cast<int>(fraction * 4);
    if (quarter <= last_) return std::nullopt;
    last_ = quarter;
    const std::string percent = absl::StrCat("packing weights: ", quarter * 25, " %");
    if (fraction >= 1) return percent;
    const double left = std::max(seconds, 0.0) * (1 - fraction) / fraction;
    return absl::StrCat(percent, ", about ", static_cast<long long>(std::ceil(std::min(left, 1e9))), " s left");
  }

 private:
  int last_ = 0;
};

}  // namespace halftone
