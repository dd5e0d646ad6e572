#include "kernels/cuda/primitives/numbers.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <random>

namespace halftone::test {
namespace {

using namespace cuda_host;

TEST(CudaNumbers, PairsHaveTheFirstInTheLowHalf) {
  EXPECT_EQ(bf16x2_from_f32(1.0f, -2.0f), 0xc0003f80u);
  EXPECT_EQ(f16x2_from_f32(1.0f, -2.0f), 0xc0003c00u);
  EXPECT_EQ(f32_from_bits(0x3f800000u), 1.0f);
  EXPECT_EQ(bits_from_f32(-2.0f), 0xc0000000u);
}

TEST(CudaNumbers, FmaRoundsOnce) {
  const float a = 1 + 0x1p-12f;
  EXPECT_EQ(cuda_host::fma(a, a, -1 - 0x1p-11f), 0x1p-24f);
}

// In long double (64 bits of significand) sums of bf16 that are less than 2^40 apart are exact.
uint16_t rounded_once(long double value) {
  int exponent = 0;
  std::frexp(value, &exponent);
  exponent = std::max(exponent, -125);  // subnormal below
  const long double unit = std::ldexp(1.0L, exponent - 8);
  return bf16_from_f32(static_cast<float>(std::nearbyint(value / unit) * unit));
}

TEST(CudaNumbers, Bf16FmaRoundsOnce) {
  std::mt19937 random(3);
  const auto number = [&](int least, int most) {
    const float significand = 1 + static_cast<float>(random() % 128) / 128;
    const int exponent = least + static_cast<int>(random() % static_cast<unsigned>(most - least + 1));
    return bf16_from_f32(std::ldexp(random() % 2 == 0 ? significand : -significand, exponent));
  };
  for (int i = 0; i < 200'000; ++i) {
    const uint16_t a = number(-8, 8), b = number(-8, 8), c = number(-20, 20);
    const long double exact =
        static_cast<long double>(f32_from_bf16(a)) * f32_from_bf16(b) + static_cast<long double>(f32_from_bf16(c));
    ASSERT_EQ(f32_from_bf16(bf16_fma(a, b, c)), f32_from_bf16(rounded_once(exact))) << a << " " << b << " " << c;
  }
}

// Half of a last place and a little, on either side: to double, and then to bf16, it would be a tie.
TEST(CudaNumbers, Bf16FmaSeesWhatDoubleDoesNot) {
  const uint16_t tie = bf16_from_f32(1 + 0x1p-7f), half_place = bf16_from_f32(0x1p-8f), one = bf16_from_f32(1);
  EXPECT_EQ(bf16_fma(half_place, one, tie), bf16_from_f32(1 + 0x1p-6f)) << "to even";
  // (1 + 2^-7) * (1 + 2^-1) = 1.5 + 2^-7 + 2^-8 lies in the middle; what is added is far below.
  const uint16_t a = bf16_from_f32(1 + 0x1p-7f), b = bf16_from_f32(1.5f);
  EXPECT_EQ(f32_from_bf16(bf16_fma(a, b, bf16_from_f32(0x1p-90f))), 1.5f + 0x1p-6f);
  EXPECT_EQ(f32_from_bf16(bf16_fma(a, b, bf16_from_f32(-0x1p-90f))), 1.5f + 0x1p-7f);
  EXPECT_EQ(f32_from_bf16(bf16_fma(a, b, 0)), 1.5f + 0x1p-6f) << "to even";
}

TEST(CudaNumbers, Bf16FmaKeepsSpecialValues) {
  const uint16_t infinity = 0x7f80, nan = 0x7fc0, most = 0x7f7f, one = 0x3f80, zero = 0;
  EXPECT_EQ(bf16_fma(most, most, one), infinity);
  EXPECT_EQ(bf16_fma(one, most, most), infinity);
  EXPECT_EQ(bf16_fma(infinity, one, one), infinity);
  EXPECT_TRUE(std::isnan(f32_from_bf16(bf16_fma(infinity, zero, one))));
  EXPECT_TRUE(std::isnan(f32_from_bf16(bf16_fma(one, one, nan))));
  EXPECT_EQ(bf16_fma(1, one, 1), 2) << "subnormal";
}

TEST(CudaNumbers, Bf16x2FmaIsOfEachHalf) {
  const auto pair = [](float low, float high) { return bf16x2_from_f32(low, high); };
  EXPECT_EQ(bf16x2_fma(pair(2, 3), pair(5, -7), pair(1, 0.5f)), pair(11, -20.5f));
}

}  // namespace
}  // namespace halftone::test
