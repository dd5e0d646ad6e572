// What the machine can do at best, measured in the same run as everything that is compared with it.
#pragma once

#include <cstdint>

namespace halftone::bench {

struct Floor {
  double read_bytes_per_second = 0;  // all threads streaming through memory far larger than the caches
  double flops_per_second = 0;       // all threads doing nothing but fma on registers
  // The least time that an operation can take.
  double seconds(double bytes, double flops) const {
    const double reading = bytes / read_bytes_per_second, computing = flops / flops_per_second;
    return reading > computing ? reading : computing;
  }
};

Floor measure_floor(int threads);

// One thread's loops, for each instruction set. The returned number depends on all of the work: nothing is left out.
struct FloorLoops {
  float (*read)(const float* data, int64_t count);  // count is a multiple of 64
  float (*multiply_add)(int64_t rounds, int64_t* fmas);
};
FloorLoops floor_loops_avx2();
FloorLoops floor_loops_emulated();

}  // namespace halftone::bench
