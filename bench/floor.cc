#include "bench/floor.h"

#include <atomic>
#include <vector>

#include "bench/timing.h"
#include "kernels/cpu/cpu_device.h"
#include "kernels/cpu/thread_pool.h"

namespace halftone::bench {
namespace {

constexpr int64_t kFloats = 64 << 20;  // 256 MiB
constexpr int64_t kPieces = 64;
constexpr int64_t kRounds = 200'000;

}  // namespace

Floor measure_floor(int threads) {
  const FloorLoops loops = cpu_isas().front() == CpuIsa::kAvx2 ? floor_loops_avx2() : floor_loops_emulated();
  ThreadPool pool(threads);
  std::atomic<float> keep{0};  // what the loops return must go somewhere
  const std::vector<float> memory(kFloats, 1.0f);
  const Timing reading = time_calls({0.3, 5}, [&](int64_t) {
    pool.run(kPieces, [&](int64_t piece, int) {
      keep = loops.read(memory.data() + piece * (kFloats / kPieces), kFloats / kPieces);
    });
  });
  std::atomic<int64_t> fmas{0};
  const Timing computing = time_calls({0.2, 5}, [&](int64_t) {
    fmas = 0;
    pool.run(4 * threads, [&](int64_t, int) {
      int64_t done = 0;
      keep = loops.multiply_add(kRounds, &done);
      fmas += done;
    });
  });
  return {static_cast<double>(kFloats) * sizeof(float) / reading.best, 2 * static_cast<double>(fmas) / computing.best};
}

}  // namespace halftone::bench
