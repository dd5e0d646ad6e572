// Every half and every bfloat16, and every place where rounding to them turns.
#include "kernels/contract/numbers.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

namespace halftone::test {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

bool is_nan_half(uint32_t half) { return (half & 0x7fff) > 0x7c00; }

// What the bits of a half mean, as IEEE 754 has it.
double meaning_of_half(uint32_t half) {
  const int exponent = static_cast<int>(half >> 10 & 31), mantissa = static_cast<int>(half & 1023);
  const double sign = (half & 0x8000) != 0 ? -1 : 1;
  if (exponent == 31) return sign * std::numeric_limits<double>::infinity();
  if (exponent == 0) return sign * std::ldexp(mantissa, -24);
  return sign * std::ldexp(1024 + mantissa, exponent - 25);
}

TEST(F16, EveryHalfMeansWhatTheStandardSays) {
  for (uint32_t half = 0; half < 0x10000; ++half) {
    const float value = f32_from_f16(static_cast<uint16_t>(half));
    if (is_nan_half(half)) {
      EXPECT_TRUE(std::isnan(value)) << half;
    } else {
      EXPECT_EQ(value, meaning_of_half(half)) << half;
    }
    EXPECT_EQ(std::signbit(value), half >= 0x8000) << half;
  }
}

TEST(F16, EveryHalfComesBackAsItself) {
  for (uint32_t half = 0; half < 0x10000; ++half) {
    const uint16_t back = f16_from_f32(f32_from_f16(static_cast<uint16_t>(half)));
    if (is_nan_half(half)) {
      EXPECT_TRUE(is_nan_half(back)) << half;
    } else {
      EXPECT_EQ(back, half);
    }
  }
}

// Between two neighbours, the middle goes to the even one and the floats next to the middle to the nearer one.
TEST(F16, EveryMiddleRoundsToEven) {
  for (uint32_t half = 0; half < 0x7bff; ++half) {
    const float low = f32_from_f16(static_cast<uint16_t>(half)), high = f32_from_f16(static_cast<uint16_t>(half + 1));
    const float middle = low + (high - low) / 2;
    const uint32_t even = half % 2 == 0 ? half : half + 1;
    EXPECT_EQ(f16_from_f32(middle), even);
    EXPECT_EQ(f16_from_f32(-middle), even | 0x8000);
    EXPECT_EQ(f16_from_f32(std::nextafter(middle, -kInfinity)), half);
    EXPECT_EQ(f16_from_f32(std::nextafter(middle, kInfinity)), half + 1);
  }
}

TEST(F16, BeyondTheRangeIsInfinity) {
  EXPECT_EQ(f16_from_f32(kF16Max), 0x7bff);
  EXPECT_EQ(f16_from_f32(std::nextafter(65520.0f, 0.0f)), 0x7bff);
  for (float value : {65520.0f, 1e10f, kInfinity}) {
    EXPECT_EQ(f16_from_f32(value), 0x7c00) << value;
    EXPECT_EQ(f16_from_f32(-value), 0xfc00) << value;
  }
}

TEST(F16, NanStaysNanWhateverItsBits) {
  for (uint32_t bits : {0x7f800001u, 0x7fc00000u, 0x7fffffffu, 0xff800001u}) {
    EXPECT_TRUE(is_nan_half(f16_from_f32(std::bit_cast<float>(bits)))) << bits;
  }
}

TEST(Bf16, EveryOneComesBackAsItselfAndEveryMiddleRoundsToEven) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const float value = f32_from_bf16(static_cast<uint16_t>(bits));
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(f32_from_bf16(bf16_from_f32(value)))) << bits;
      continue;
    }
    EXPECT_EQ(bf16_from_f32(value), bits);
    if (std::isinf(value)) continue;
    const uint32_t even = bits % 2 == 0 ? bits : bits + 1;  // towards greater magnitude, the infinity after the last
    EXPECT_EQ(bf16_from_f32(std::bit_cast<float>(bits << 16 | 0x8000)), even);
    EXPECT_EQ(bf16_from_f32(std::bit_cast<float>(bits << 16 | 0x7fff)), bits);
    EXPECT_EQ(bf16_from_f32(std::bit_cast<float>(bits << 16 | 0x8001)), bits + 1);
  }
}

TEST(Bf16, NanStaysNanWhateverItsBits) {
  for (uint32_t bits : {0x7f800001u, 0x7f80ffffu, 0x7fffffffu, 0xff800001u}) {
    EXPECT_TRUE(std::isnan(f32_from_bf16(bf16_from_f32(std::bit_cast<float>(bits))))) << bits;
  }
}

}  // namespace
}  // namespace halftone::test
