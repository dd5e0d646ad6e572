// Products of every weight format that a device has, on shapes of real models.
#pragma once

#include "bench/linear_yardstick.h"
#include "bench/report.h"
#include "bench/timing.h"
#include "kernels/contract/device.h"

namespace halftone::bench {

struct LinearShape {
  int64_t rows, cols;
};

// yardstick: what the products are compared with; null: nothing.
void bench_linear(Device& device, const WeightFormat& format, LinearShape shape, const Budget& budget,
                  LinearYardstick* yardstick, Report& report);

}  // namespace halftone::bench
