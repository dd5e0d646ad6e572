#include "tests/kernels/cuda/primitives/golden.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

namespace halftone::test {
namespace {

Words words_of(std::initializer_list<float> values) {
  Words words;
  for (float value : values) words.push_back(std::bit_cast<uint32_t>(value));
  return words;
}

Words counted(size_t size) {
  Words words(size);
  for (size_t i = 0; i < size; ++i) words[i] = static_cast<uint32_t>(i);
  return words;
}

const Probe kExact{"exact", "exact", {1, 2, 3}, {}};

TEST(ProbeAgreement, IsToTheBitWhereThereAreNoBounds) {
  EXPECT_TRUE(agree(kExact, {1, 2, 3}, {1, 2, 3}));
  EXPECT_FALSE(agree(kExact, {1, 2, 3}, {1, 3, 2}));
  EXPECT_FALSE(agree(kExact, {0x80000000u}, {0})) << "a zero's sign";
  EXPECT_FALSE(agree(kExact, {1, 2}, {1, 2, 3}));
  EXPECT_FALSE(agree(kExact, {1, 2, 3}, {}));
}

TEST(ProbeAgreement, IsWithinTheBoundOfEachSum) {
  const Probe probe{"sums", "sums", {}, {0.5, 0.25}};
  EXPECT_TRUE(agree(probe, words_of({1, 2}), words_of({1.5f, 1.75f})));
  EXPECT_FALSE(agree(probe, words_of({1, 2}), words_of({1.75f, 2})));
  EXPECT_FALSE(agree(probe, words_of({1, 2}), words_of({1, 2.5f}))) << "each has its own";
  EXPECT_FALSE(agree(probe, words_of({1}), words_of({1})));
  EXPECT_FALSE(agree({"sums", "sums", {}, {1}}, words_of({1, 2}), words_of({1, 2}))) << "too few bounds";
}

TEST(ProbeAgreement, IsNotOfNansAndInfinitiesWithinBounds) {
  const Probe probe{"sums", "sums", {}, {1}};
  const float nan = std::numeric_limits<float>::quiet_NaN(), infinity = std::numeric_limits<float>::infinity();
  for (float wrong : {nan, infinity, -infinity}) {
    EXPECT_FALSE(agree(probe, words_of({wrong}), words_of({1})));
    EXPECT_FALSE(agree(probe, words_of({1}), words_of({wrong})));
    EXPECT_FALSE(agree(probe, words_of({wrong}), words_of({wrong})));
  }
}

TEST(ProbeGolden, DigestsSeeOrderAndEveryBit) {
  EXPECT_NE(digest({1, 2}), digest({2, 1}));
  EXPECT_NE(digest({0}), digest({0, 0}));
  EXPECT_NE(digest({1, 2}), digest({1 | 0x80000000u, 2 | 0x80000000u})) << "signs do not cancel";
  for (int bit = 0; bit < 32; ++bit) {
    EXPECT_NE(digest({5, 6, 7}), digest({5, 6 ^ 1u << bit, 7}));
    EXPECT_NE(digest({5, 6, 7}), digest({5 ^ 1u << bit, 6, 7 ^ 1u << bit}));
  }
}

TEST(ProbeGolden, KeepsDigestsOfLongResultsUnlessTheyHaveBounds) {
  const Words few = counted(256), many = counted(4096);
  EXPECT_EQ(kept_words(kExact, few), few);
  EXPECT_EQ(kept_words(kExact, many).size(), 256u);
  EXPECT_EQ(kept_words({"sums", "sums", {}, std::vector<double>(4096)}, many), many);
  EXPECT_TRUE(agree_with_kept(kExact, many, kept_words(kExact, many)));
  for (size_t i : {0, 15, 16, 4095}) {
    Words wrong = many;
    wrong[i] ^= 0x100;
    EXPECT_FALSE(agree_with_kept(kExact, wrong, kept_words(kExact, many)));
  }
  EXPECT_FALSE(agree_with_kept(kExact, few, kept_words(kExact, many))) << "as many digests as words";
}

TEST(ProbeGolden, IsReadAsItWasWritten) {
  const std::string text = golden_text(kExact, counted(30), "A GPU (sm_90), 2026-01-31");
  EXPECT_TRUE(text.starts_with("# A GPU (sm_90), 2026-01-31: recorded by cuda_probes_test; digest of the inputs: "));
  const std::optional<Golden> golden = parse_golden(text);
  ASSERT_TRUE(golden);
  EXPECT_EQ(golden->inputs, digest(kExact.in));
  EXPECT_EQ(golden->kept, counted(30));
}

TEST(ProbeGolden, IsNotReadWhereItIsDamaged) {
  const std::string text = golden_text(kExact, counted(30), "A GPU");
  EXPECT_FALSE(parse_golden(""));
  EXPECT_FALSE(parse_golden(text.substr(2)));
  EXPECT_FALSE(parse_golden("# A GPU: of unknown inputs\n00000001\n"));
  EXPECT_FALSE(parse_golden(text + "0000001\n")) << "a digit is missing";
  EXPECT_FALSE(parse_golden(text + "0000001g\n"));
}

}  // namespace
}  // namespace halftone::test
