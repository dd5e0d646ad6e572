#include "kernels/kv/kv8/kv8.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "kernels/contract/numbers.h"
#include "tests/kernels/kv/kv_page.h"

namespace halftone::test {
namespace {

constexpr float kLargest = 127.0f * 65504.0f;

float value_scale(KvPage& page) {
  const KvLayer& layout = page.layout();
  const auto* scales = reinterpret_cast<const uint16_t*>(page.layer() + layout.scales_offset);
  return f32_from_f16(scales[layout.page_tokens]);
}

int code_of_value(KvPage& page, int64_t d) {
  const KvLayer& layout = page.layout();
  return reinterpret_cast<const int8_t*>(page.layer())[layout.head_bytes / 2 + static_cast<size_t>(d)];
}

// Scales of every size that a float's amax can ask for, most of all the subnormal ones.
TEST(Kv8, NoCodeGoesBeyond127AndNoValueIsFartherThanHalfAStep) {
  std::mt19937 random(8);
  std::uniform_real_distribution<float> uniform(-1, 1);
  for (int exponent = -149; exponent <= 22; ++exponent) {
    for (int i = 0; i < 200; ++i) {
      KvPage page(kKv8, 1, 8, 16);
      std::vector<float> values;
      for (int d = 0; d < 8; ++d) values.push_back(std::ldexp(uniform(random), exponent));
      EXPECT_EQ(page.store(0, 0, values, values), 0);
      const float scale = value_scale(page);
      const float amax = std::fabs(*std::max_element(values.begin(), values.end(),
                                                     [](float a, float b) { return std::fabs(a) < std::fabs(b); }));
      // Rounding to a half goes wrong by at most half a unit, which near zero is 2^-25, or is put up by a whole one.
      ASSERT_LE(scale, amax / 127 * (1 + 0x1p-10f) + 0x1p-24f);
      const std::vector<float> read = page.value(0, 0);
      for (int64_t d = 0; d < 8; ++d) {
        ASSERT_LE(std::abs(code_of_value(page, d)), 127);
        ASSERT_EQ(read[static_cast<size_t>(d)], static_cast<float>(code_of_value(page, d)) * scale);
        ASSERT_LE(std::fabs(read[static_cast<size_t>(d)] - values[static_cast<size_t>(d)]), scale * 0.501f)
            << "scale " << scale << " amax " << amax;
      }
    }
  }
}

TEST(Kv8, TheScaleIsAmaxBy127RoundedToHalf) {
  KvPage page(kKv8, 1, 4, 16);
  for (float amax : {127.0f, 1.0f, 3.7f, 1000.0f}) {
    page.store(0, 0, {0, 0, 0, 0}, {0.1f, -amax, amax / 2, 0});
    EXPECT_EQ(value_scale(page), f32_from_f16(f16_from_f32(amax / 127)));
    EXPECT_EQ(code_of_value(page, 1), -127);
  }
}

TEST(Kv8, ASubnormalScaleIsPutUpWhereACodeWouldNotFit) {
  KvPage page(kKv8, 1, 4, 16);
  // amax / 127 is 1.49 units of the last place of a half: rounded down to one unit, the code would be 189.
  const float amax = 1.49f * 127 * 0x1p-24f;
  page.store(0, 0, {0, 0, 0, 0}, {amax, 0, 0, 0});
  EXPECT_EQ(value_scale(page), 0x1p-23f);
  EXPECT_EQ(code_of_value(page, 0), 95);
}

TEST(Kv8, TheSmallestFloatsAreStoredAsZeroWithoutDividingByZero) {
  KvPage page(kKv8, 1, 4, 16);
  page.store(0, 0, {0, 0, 0, 0}, {0x1p-149f, -0x1p-130f, 0, 0});
  EXPECT_EQ(value_scale(page), 0x1p-24f);
  EXPECT_EQ(page.value(0, 0), (std::vector<float>{0, 0, 0, 0}));
}

TEST(Kv8, CodesAreRoundedHalfToEven) {
  KvPage page(kKv8, 1, 8, 16);
  page.store(0, 0, std::vector<float>(8), {127, 0.5f, 1.5f, 2.5f, -0.5f, -1.5f, -2.5f, 0.75f});
  EXPECT_EQ(page.value(0, 0), (std::vector<float>{127, 0, 2, 2, 0, -2, -2, 1}));
}

TEST(Kv8, ClampsJustBeyondTheLargestThatAScaleReaches) {
  KvPage page(kKv8, 1, 4, 16);
  EXPECT_EQ(page.store(0, 0, {kLargest, 0, 0, 0}, {-kLargest, 0, 0, 0}), 0);
  EXPECT_EQ(page.key(0, 0)[0], kLargest);
  EXPECT_EQ(page.store(0, 0, {std::nextafter(kLargest, HUGE_VALF), 0, 0, 0}, {-1e38f, 1e38f, 0, 0}), 3);
  EXPECT_EQ(page.key(0, 0)[0], kLargest);
  EXPECT_EQ(page.value(0, 0), (std::vector<float>{-kLargest, kLargest, 0, 0}));
}

TEST(Kv8, ANanMakesItsWholeVectorNan) {
  KvPage page(kKv8, 1, 4, 16);
  page.store(0, 0, {1, 2, 3, 4}, {1, std::nanf(""), 3, 4});
  for (float value : page.value(0, 0)) EXPECT_TRUE(std::isnan(value));
  for (float value : page.key(0, 0)) EXPECT_FALSE(std::isnan(value));
}

}  // namespace
}  // namespace halftone::test
