#include <algorithm>
#include <atomic>
#include <chrono>

#include "kernels/cpu/cpu_context.h"

namespace halftone {
namespace {

constexpr int64_t kPieces = 64;
constexpr int kRepeats = 5;

// The best of some times: what was possible at all.
template <typename Run>
double best_seconds(Run run) {
  using Clock = std::chrono::steady_clock;
  double best = 1e9;
  run();
  for (int i = 0; i < kRepeats; ++i) {
    const Clock::time_point begin = Clock::now();
    run();
    best = std::min(best, std::chrono::duration<double>(Clock::now() - begin).count());
  }
  return best;
}

}  // namespace

DeviceRoofline cpu_measure_roofline(const CpuContext& context, std::span<const float> memory) {
  const CpuOps& ops = context.ops();
  std::atomic<float> keep{0};  // what the loops return must go somewhere
  DeviceRoofline roofline;
  const int64_t piece_floats = static_cast<int64_t>(memory.size()) / kPieces;
  auto read = [&](int64_t piece, int) { keep = ops.read_all(memory.data() + piece * piece_floats, piece_floats); };
  if (!memory.empty()) {
    roofline.bytes_per_second =
        static_cast<double>(memory.size_bytes()) / best_seconds([&] { context.pool.run(kPieces, read); });
  }
  for (int kind = 0; kind < kArithmetics; ++kind) {
    std::atomic<int64_t> multiply_adds{0};
    auto multiply = [&](int64_t, int) {
      int64_t done = 0;
      keep = ops.multiply_add[kind](ops.roofline_rounds, &done);
      multiply_adds += done;
    };
    const double seconds = best_seconds([&] {
      multiply_adds = 0;
      context.pool.run(4 * context.pool.threads(), multiply);
    });
    roofline.operations_per_second[kind] = 2 * static_cast<double>(multiply_adds) / seconds;
  }
  return roofline;
}

}  // namespace halftone
