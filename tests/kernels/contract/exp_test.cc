// exp (every 61st float), tanh (every 997th) and what is made of them against double, and the ends of their ranges one
// by one.
#include "kernels/contract/exp.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <numbers>

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

TEST(TanhOrdered, IsWithinThreeUlpsOfDouble) {
  double worst = 0;
  for (uint64_t bits = 0; bits < uint64_t{1} << 32; bits += 997) {
    const float x = std::bit_cast<float>(static_cast<uint32_t>(bits));
    if (!(std::fabs(x) >= 0x1p-120f && std::fabs(x) <= 20)) continue;
    worst = std::max(worst, error_in_ulps(tanh_ordered(x), std::tanh(static_cast<double>(x))));
  }
  EXPECT_LE(worst, 3.0);
  EXPECT_GT(worst, 0.5) << "nothing was measured";
}

TEST(TanhOrdered, IsOddAndGoesToTheRightEnds) {
  for (float x : {0x1p-149f, 0x1p-60f, 0.1f, 0.625f, 0.7f, 3.0f, 9.0f, 50.0f, 1e30f, kInfinity}) {
    EXPECT_EQ(tanh_ordered(-x), -tanh_ordered(x)) << x;
    EXPECT_LE(tanh_ordered(x), 1.0f) << x;
  }
  EXPECT_EQ(tanh_ordered(0.0f), 0.0f);
  EXPECT_EQ(tanh_ordered(0x1p-60f), 0x1p-60f);
  EXPECT_EQ(tanh_ordered(kInfinity), 1.0f);
  EXPECT_TRUE(std::isnan(tanh_ordered(std::nanf(""))));
}

TEST(CapOrdered, LeavesSmallValuesAndHoldsLargeOnes) {
  for (float limit : {1.0f, 30.0f, 50.0f}) {
    for (float x = -200; x <= 200; x += 0.37f) {
      const double exact = limit * std::tanh(static_cast<double>(x) / limit);
      EXPECT_NEAR(cap_ordered(x, limit), exact, std::fabs(exact) * 0x1p-21) << x << " by " << limit;
    }
    EXPECT_EQ(cap_ordered(1e30f, limit), limit);
    EXPECT_NEAR(cap_ordered(1e-6f, limit), 1e-6f, 1e-12);
  }
}

TEST(GeluTanhOrdered, IsCloseToDoubleAndGoesToTheRightEnds) {
  for (float x = -9; x <= 80; x += 0.037f) {
    const double u = std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * static_cast<double>(x) * x * x);
    const double exact = x / (1 + std::exp(-2 * u));
    EXPECT_NEAR(gelu_tanh_ordered(x), exact, std::fabs(exact) * (1 + std::fabs(u)) * 0x1p-20) << x;
  }
  EXPECT_EQ(gelu_tanh_ordered(0), 0.0f);
  EXPECT_EQ(gelu_tanh_ordered(1000), 1000.0f);
  EXPECT_EQ(gelu_tanh_ordered(1e30f), 1e30f);
  EXPECT_EQ(gelu_tanh_ordered(-1000), 0.0f);
  EXPECT_TRUE(std::isnan(gelu_tanh_ordered(std::nanf(""))));
}

}  // namespace
}  // namespace halftone::test
