// How long one call takes, of as many calls as fit into a given time.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <vector>

namespace halftone::bench {

struct Budget {
  double seconds = 0.1;  // for one row of a table
  size_t calls_least = 5;
};

struct Timing {
  double median = 0;  // of an operation: what a caller meets
  double best = 0;    // of a floor: what was possible at all
};

// call(i) is done once to warm up, then with i = 0, 1, ...
template <typename Call>
Timing time_calls(const Budget& budget, Call&& call) {
  using Clock = std::chrono::steady_clock;
  call(0);
  std::vector<double> times;
  double total = 0;
  while (total < budget.seconds || times.size() < budget.calls_least) {
    const Clock::time_point begin = Clock::now();
    call(static_cast<int64_t>(times.size()));
    times.push_back(std::chrono::duration<double>(Clock::now() - begin).count());
    total += times.back();
  }
  std::sort(times.begin(), times.end());
  return {times[times.size() / 2], times[0]};
}

}  // namespace halftone::bench
