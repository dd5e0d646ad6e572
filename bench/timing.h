// How long one call takes, of as many calls as fit into a given time.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <vector>

#include "kernels/contract/device.h"

namespace halftone::bench {

struct Budget {
  double seconds = 0.1;  // for one row of a table
  size_t rounds_least = 5;
};

// The median of rounds, in seconds for one call(i), i = 0, 1, ... A round is one replay (Device::replayable) of as many
// calls as take some milliseconds, so that neither launching nor waiting for the device is measured; a call that takes
// longer is a round of its own. `key` tells this series from others on the device.
template <typename Call>
double time_calls(Device& device, const Budget& budget, uint64_t key, Call&& call) {
  constexpr double kRoundSeconds = 5e-3;
  constexpr double kCallsMost = 512;
  int64_t calls = 1, next = 0;
  auto timed = [&](auto&& work) {
    using Clock = std::chrono::steady_clock;
    const Clock::time_point begin = Clock::now();
    work();
    device.take_clamped();  // waits
    return std::chrono::duration<double>(Clock::now() - begin).count();
  };
  auto one = [&] { call(next++); };
  auto round = [&] {
    device.replayable(key, [&] {
      for (int64_t i = 0; i < calls; ++i) one();
    });
  };
  timed(one);
  calls = static_cast<int64_t>(std::clamp(kRoundSeconds / timed(one), 1.0, kCallsMost));
  timed(round);
  std::vector<double> times;
  double total = 0;
  while (total < budget.seconds || times.size() < budget.rounds_least) {
    times.push_back(timed(round));
    total += times.back();
  }
  std::sort(times.begin(), times.end());
  return times[times.size() / 2] / static_cast<double>(calls);
}

}  // namespace halftone::bench
