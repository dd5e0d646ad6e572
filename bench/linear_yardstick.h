// The yardstick's library on the shapes of our products: the same tokens and rounds, and weights of its own layout.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bench/report.h"
#include "bench/timing.h"
#include "kernels/contract/device.h"
#include "kernels/cuda/yardstick.h"

namespace halftone::bench {

constexpr size_t kBeyondCaches = size_t{192} << 20;  // 60 MB on the largest GPU

class LinearYardstick {
 public:
  // stream: the device's (cuda_stream()).
  LinearYardstick(Device& device, Yardstick& library, void* stream);

  // From now on run() cycles through copies of a matrix of this shape that together exceed `beyond` bytes, since a
  // decode meets each matrix once a step, never in a cache. Row r has the values of row r % kPackRows of `values`.
  void hold(int64_t rows, int64_t cols, const std::vector<float>& values, size_t beyond = kBeyondCaches);
  // x [tokens, cols], y [tokens, rows]. `key` tells this series from others on the device.
  Comparison time(const Tensor& x, const Tensor& y, const Budget& budget, uint64_t key);

 private:
  Device& device_;
  Yardstick& library_;
  void* const stream_;
  const Buffer workspace_;
  std::vector<Buffer> copies_;
  Tensor weights_;  // the first copy
};

}  // namespace halftone::bench
