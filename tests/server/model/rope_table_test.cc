#include "server/model/rope_table.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "tests/support/checkpoint_tiny.h"

namespace halftone {
namespace {

RopeSpec rope_of(RopeScaling scaling, int64_t head_dim = 64, float theta = 500000) {
  return {.theta = theta, .scaling = scaling, .rotated = head_dim};
}

double plain(const RopeSpec& rope, size_t pair) {
  return 1 /
         std::pow(static_cast<double>(rope.theta), 2 * static_cast<double>(pair) / static_cast<double>(rope.rotated));
}

void expect_close(double actual, double expected) { EXPECT_NEAR(actual, expected, 1e-12 * expected); }

TEST(RopeTable, FrequenciesFallGeometrically) {
  for (int64_t head_dim : {2, 8, 64, 128}) {
    const RopeSpec rope = rope_of({}, head_dim, 10000);
    const std::vector<double> frequencies = rope_frequencies(rope, {});
    ASSERT_EQ(frequencies.size(), static_cast<size_t>(head_dim / 2));
    EXPECT_EQ(frequencies[0], 1);
    for (size_t i = 0; i < frequencies.size(); ++i) expect_close(frequencies[i], plain(rope, i));
  }
}

TEST(RopeTable, LinearScalingDividesEveryFrequency) {
  const RopeSpec rope = rope_of({.kind = RopeScaling::Kind::kLinear, .factor = 2.5f});
  const std::vector<double> frequencies = rope_frequencies(rope, {});
  for (size_t i = 0; i < frequencies.size(); ++i) expect_close(frequencies[i], plain(rope, i) / 2.5);
}

// Llama 3.1: factor 8, low 1, high 4, 8192 positions.
TEST(RopeTable, Llama3StretchesLongWavesKeepsShortOnesAndBlendsBetween) {
  const RopeSpec rope = rope_of({.kind = RopeScaling::Kind::kLlama3,
                                 .factor = 8,
                                 .low_frequency_factor = 1,
                                 .high_frequency_factor = 4,
                                 .original_context = 8192},
                                128);
  const std::vector<double> frequencies = rope_frequencies(rope, {});
  int kept = 0, stretched = 0, blended = 0;
  for (size_t i = 0; i < frequencies.size(); ++i) {
    const double frequency = plain(rope, i), turns = 8192 * frequency / (2 * std::numbers::pi);
    if (turns > 4) {
      ++kept;
      expect_close(frequencies[i], frequency);
    } else if (turns < 1) {
      ++stretched;
      expect_close(frequencies[i], frequency / 8);
    } else {
      ++blended;
      const double smooth = (turns - 1) / 3;
      expect_close(frequencies[i], (1 - smooth) * frequency / 8 + smooth * frequency);
    }
  }
  EXPECT_GT(kept, 0);
  EXPECT_GT(stretched, 0);
  EXPECT_GT(blended, 0);
}

TEST(RopeTable, DivisorsOfTheCheckpointDivide) {
  const RopeSpec rope = rope_of({}, 8);
  const std::vector<float> divisors = {1, 1.5f, 4, 32};
  const std::vector<double> frequencies = rope_frequencies(rope, divisors);
  for (size_t i = 0; i < 4; ++i) expect_close(frequencies[i], plain(rope, i) / static_cast<double>(divisors[i]));
}

TEST(RopeTable, DivisorsStandBesideTheScaling) {
  const RopeSpec rope = rope_of({.kind = RopeScaling::Kind::kLinear, .factor = 2}, 8);
  const std::vector<float> divisors = {1, 1.5f, 4, 32};
  const std::vector<double> frequencies = rope_frequencies(rope, divisors);
  for (size_t i = 0; i < 4; ++i) {
    expect_close(frequencies[i], plain(rope, i) / static_cast<double>(divisors[i]) / 2);
  }
}

TEST(RopeTable, HoldsTheRoundedCosineAndSineOfEveryAngle) {
  const std::vector<double> frequencies = {1, 0.01, 3.7e-5};
  constexpr int64_t kPositions = 9000;
  std::vector<float> cosines(kPositions * 3), sines(kPositions * 3);
  fill_rope_table(frequencies, 0, 5000, cosines.data(), sines.data());
  fill_rope_table(frequencies, 5000, kPositions - 5000, cosines.data() + 15000, sines.data() + 15000);
  for (int64_t p = 0; p < kPositions; ++p) {
    for (size_t i = 0; i < 3; ++i) {
      const long double angle = static_cast<long double>(p) * static_cast<long double>(frequencies[i]);
      const size_t at = static_cast<size_t>(p) * 3 + i;
      ASSERT_NEAR(static_cast<double>(cosines[at]), static_cast<double>(std::cos(angle)), 0x1p-24) << p << " " << i;
      ASSERT_NEAR(static_cast<double>(sines[at]), static_cast<double>(std::sin(angle)), 0x1p-24) << p << " " << i;
    }
  }
  EXPECT_EQ(cosines[0], 1);
  EXPECT_EQ(sines[0], 0);
}

}  // namespace
}  // namespace halftone
