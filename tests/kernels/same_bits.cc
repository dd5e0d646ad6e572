#include "tests/kernels/same_bits.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace halftone::test {
namespace {

constexpr float kCanary = -123456.75f;

}  // namespace

testing::AssertionResult same_bits(std::span<const float> got, std::span<const float> expected) {
  if (got.size() != expected.size()) {
    return testing::AssertionFailure() << got.size() << " values for " << expected.size();
  }
  size_t different = 0, first = 0;
  for (size_t i = got.size(); i-- > 0;) {
    if (std::bit_cast<uint32_t>(got[i]) == std::bit_cast<uint32_t>(expected[i])) continue;
    ++different;
    first = i;
  }
  if (different == 0) return testing::AssertionSuccess();
  return testing::AssertionFailure() << different << " of " << got.size() << " differ, first at " << first << ": "
                                     << testing::PrintToString(got[first]) << " for "
                                     << testing::PrintToString(expected[first]);
}

testing::AssertionResult within_bounds(std::span<const float> got, std::span<const reference::Bounded> exact) {
  if (got.size() != exact.size()) return testing::AssertionFailure() << got.size() << " values for " << exact.size();
  size_t worst = 0;
  double excess = -1;
  for (size_t i = 0; i < got.size(); ++i) {
    const double beyond = std::fabs(got[i] - exact[i].value) - exact[i].bound;
    if (!(beyond <= 0) && !(beyond <= excess)) {
      worst = i;
      excess = beyond;
    }
  }
  if (excess == -1) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "value " << worst << " is " << got[worst] << " for " << exact[worst].value
                                     << " +- " << exact[worst].bound;
}

void expect_same_candidates(const std::vector<LogitCandidate>& got, const std::vector<LogitCandidate>& expected) {
  ASSERT_EQ(got.size(), expected.size());
  for (size_t i = 0; i < got.size(); ++i) {
    EXPECT_EQ(got[i].id, expected[i].id) << "candidate " << i;
    EXPECT_EQ(got[i].logit, expected[i].logit) << "candidate " << i;
    EXPECT_EQ(got[i].raw, expected[i].raw) << "candidate " << i;
  }
}

std::vector<float> normal_floats(std::mt19937& random, int64_t count, float scale) {
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = normal(random) * scale;
  return values;
}

StridedMatrix::StridedMatrix(int64_t rows, int64_t cols, int64_t gap)
    : rows_(rows), cols_(cols), stride_(cols + gap), values_(static_cast<size_t>(rows * stride_), kCanary) {}

Tensor StridedMatrix::tensor() { return {values_.data(), DType::kF32, rows_, cols_, stride_}; }

std::vector<float> StridedMatrix::dense() {
  std::vector<float> all;
  for (int64_t r = 0; r < rows_; ++r) all.insert(all.end(), row(r).begin(), row(r).end());
  return all;
}

bool StridedMatrix::gaps_are_untouched() const {
  for (size_t i = 0; i < values_.size(); ++i) {
    if (static_cast<int64_t>(i) % stride_ >= cols_ && values_[i] != kCanary) return false;
  }
  return true;
}

}  // namespace halftone::test
