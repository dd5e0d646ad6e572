// The one exp against double: every 61st float in its range, and the ends of the range one by one.
#include "kernels/contract/exp.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

namespace halftone::test {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

double error_in_ulps(float got, double exact) {
  int exponent = 0;
  std::frexp(exact, &exponent);
  return std::fabs(got - exact) / std::ldexp(1.0, exponent - 24);
}

TEST(ExpOrdered, IsWithinOneUlpOfDouble) {
  double worst = 0;
  for (uint64_t bits = 0; bits < uint64_t{1} << 32; bits += 61) {
    const float x = std::bit_cast<float>(static_cast<uint32_t>(bits));
    if (!(x >= ExpConstants::kLowest && x <= ExpConstants::kHighest)) continue;
    worst = std::max(worst, error_in_ulps(exp_ordered(x), std::exp(static_cast<double>(x))));
  }
  EXPECT_LE(worst, 1.0);
  EXPECT_GT(worst, 0.5) << "nothing was measured";
}

TEST(ExpOrdered, IsExactlyOneAtZeroAndForTheSmallest) {
  for (float x : {0.0f, -0.0f, 0x1p-149f, -0x1p-149f, 0x1p-126f, 0x1p-30f}) EXPECT_EQ(exp_ordered(x), 1.0f) << x;
}

TEST(ExpOrdered, IsPlusZeroBelowItsRange) {
  const float below = std::nextafter(ExpConstants::kLowest, -kInfinity);
  for (float x : {below, -88.0f, -1e10f, -kInfinity}) EXPECT_EQ(std::bit_cast<uint32_t>(exp_ordered(x)), 0u) << x;
  EXPECT_GE(exp_ordered(ExpConstants::kLowest), std::numeric_limits<float>::min());
}

TEST(ExpOrdered, IsInfiniteAboveItsRange) {
  const float above = std::nextafter(ExpConstants::kHighest, kInfinity);
  for (float x : {above, 89.0f, 1e30f, kInfinity}) EXPECT_EQ(exp_ordered(x), kInfinity) << x;
  EXPECT_LT(exp_ordered(ExpConstants::kHighest), kInfinity);
  EXPECT_GT(std::exp(static_cast<double>(above)), static_cast<double>(std::numeric_limits<float>::max()));
}

TEST(ExpOrdered, NanStaysNan) {
  for (uint32_t bits : {0x7fc00000u, 0xffc00000u, 0x7f800001u, 0x7fffffffu, 0xffffffffu}) {
    EXPECT_TRUE(std::isnan(exp_ordered(std::bit_cast<float>(bits)))) << std::hex << bits;
  }
}

TEST(SiluOrdered, IsCloseToDoubleAndGoesToTheRightEnds) {
  for (float x = -80; x <= 80; x += 0.37f) {
    const double exact = x / (1 + std::exp(-static_cast<double>(x)));
    EXPECT_NEAR(silu_ordered(x), exact, std::fabs(exact) * 0x1p-21) << x;
  }
  EXPECT_EQ(silu_ordered(0), 0.0f);
  EXPECT_EQ(silu_ordered(1000), 1000.0f);
  EXPECT_EQ(silu_ordered(-1000), 0.0f);
}

}  // namespace
}  // namespace halftone::test
