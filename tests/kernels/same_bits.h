// Floats compared as bits, and seeded floats to compute with.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "kernels/contract/device.h"
#include "kernels/reference/exact.h"

namespace halftone::test {

// Success, or the first place where the bits differ and how many do.
testing::AssertionResult same_bits(std::span<const float> got, std::span<const float> expected);
// Success, or the value that is farthest beyond its bound.
testing::AssertionResult within_bounds(std::span<const float> got, std::span<const reference::Bounded> exact);

void expect_same_candidates(const std::vector<LogitCandidate>& got, const std::vector<LogitCandidate>& expected);

std::vector<float> normal_floats(std::mt19937& random, int64_t count, float scale = 1);

// A matrix whose rows lie apart: what is between them must stay as it is.
class StridedMatrix {
 public:
  StridedMatrix(int64_t rows, int64_t cols, int64_t gap);
  Tensor tensor();
  std::span<float> row(int64_t row) { return {tensor().f32(row), static_cast<size_t>(cols_)}; }
  std::vector<float> dense();
  bool gaps_are_untouched() const;

 private:
  int64_t rows_, cols_, stride_;
  std::vector<float> values_;
};

}  // namespace halftone::test
