// The sum of ordered numbers: 16 named lanes, then one tree. Any thread.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace halftone::reference {

class LaneSum {
 public:
  // Element `index` of the row belongs to lane index mod 16; elements come in ascending order.
  void add(int64_t index, float value) { lane(index) += value; }
  void add_product(int64_t index, float a, float b) { lane(index) = std::fma(a, b, lane(index)); }

  float total() const {
    std::array<float, 16> sums = lanes_;
    for (size_t width = 8; width >= 1; width /= 2) {
      for (size_t i = 0; i < width; ++i) sums[i] += sums[i + width];
    }
    return sums[0];
  }

 private:
  float& lane(int64_t index) { return lanes_[static_cast<size_t>(index % 16)]; }

  std::array<float, 16> lanes_{};
};

}  // namespace halftone::reference
