// What holds for every KV format.
#include "kernels/kv/kv.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <random>
#include <set>
#include <string>

#include "tests/kernels/has_avx2.h"
#include "tests/kernels/kv/kv_page.h"

namespace halftone::test {
namespace {

std::vector<float> random_vector(std::mt19937& random, int64_t count) {
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = normal(random);
  return values;
}

class KvTest : public testing::TestWithParam<const KvFormat*> {};

TEST_P(KvTest, ItsNameFindsIt) { EXPECT_EQ(find_kv_format(GetParam()->name), GetParam()); }

TEST_P(KvTest, ItsDefaultPageIsOneThatLayoutsAllow) {
  const int64_t tokens = GetParam()->default_page_tokens;
  EXPECT_EQ(tokens % 16, 0);
  EXPECT_TRUE(std::has_single_bit(static_cast<uint64_t>(tokens)));
}

// Full pages of several shapes; what is read back is near what was stored, wherever it lies.
TEST_P(KvTest, EverySlotOfEveryHeadKeepsItsOwnVectors) {
  std::mt19937 random(3);
  for (int64_t page_tokens : {16, 32, 64}) {
    for (int64_t head_dim : {8, 10, 64, 80, 128}) {
      KvPage page(*GetParam(), 3, head_dim, page_tokens);
      std::vector<std::vector<float>> stored;
      for (int64_t i = 0; i < 3 * page_tokens; ++i) {
        const std::vector<float> k = random_vector(random, head_dim), v = random_vector(random, head_dim);
        EXPECT_EQ(page.store(i / page_tokens, i % page_tokens, k, v), 0);
        stored.push_back(k);
        stored.push_back(v);
      }
      ASSERT_TRUE(page.guards_are_untouched());
      // Of a normal vector of at most 128 values the largest stays below 6: half a step of 127 is at most 0.03.
      for (int64_t i = 0; i < 3 * page_tokens; ++i) {
        const std::vector<float> k = page.key(i / page_tokens, i % page_tokens);
        const std::vector<float> v = page.value(i / page_tokens, i % page_tokens);
        for (size_t d = 0; d < k.size(); ++d) {
          ASSERT_NEAR(k[d], stored[static_cast<size_t>(2 * i)][d], 0.03);
          ASSERT_NEAR(v[d], stored[static_cast<size_t>(2 * i + 1)][d], 0.03);
        }
      }
    }
  }
}

TEST_P(KvTest, StoringAgainReplacesWhatWasThere) {
  std::mt19937 random(4);
  KvPage page(*GetParam(), 2, 16, 16), fresh(*GetParam(), 2, 16, 16);
  const std::vector<float> k = random_vector(random, 16), v = random_vector(random, 16);
  page.store(1, 5, random_vector(random, 16), random_vector(random, 16));
  page.store(1, 5, k, v);
  fresh.store(1, 5, k, v);
  EXPECT_EQ(std::memcmp(page.layer(), fresh.layer(), page.layout().bytes), 0);
}

TEST_P(KvTest, WhatIsStoredAgainAsReadIsTheSame) {
  std::mt19937 random(5);
  KvPage page(*GetParam(), 1, 64, 16);
  page.store(0, 3, random_vector(random, 64), random_vector(random, 64));
  const std::vector<float> k = page.key(0, 3), v = page.value(0, 3);
  page.store(0, 4, k, v);
  EXPECT_EQ(page.key(0, 4), k);
  EXPECT_EQ(page.value(0, 4), v);
}

TEST_P(KvTest, ZeroIsStoredAsZero) {
  KvPage page(*GetParam(), 1, 16, 16);
  const std::vector<float> zeros(16, 0.0f);
  page.store(0, 0, std::vector<float>(16, 3.0f), std::vector<float>(16, 3.0f));
  EXPECT_EQ(page.store(0, 0, zeros, zeros), 0);
  EXPECT_EQ(page.key(0, 0), zeros);
  EXPECT_EQ(page.value(0, 0), zeros);
}

TEST_P(KvTest, NanIsReadAsNanAndStaysInItsSlot) {
  KvPage page(*GetParam(), 1, 16, 16);
  std::vector<float> k(16, 127.0f), v(16, 127.0f);
  page.store(0, 0, k, v);
  k[3] = std::nanf("");
  EXPECT_EQ(page.store(0, 1, k, v), 0);
  EXPECT_TRUE(std::isnan(page.key(0, 1)[3]));
  EXPECT_FALSE(std::isnan(page.value(0, 1)[3]));
  EXPECT_EQ(page.key(0, 0), v);
}

TEST_P(KvTest, InfinityIsClampedAndCounted) {
  KvPage page(*GetParam(), 1, 16, 16);
  std::vector<float> k(16, 1.0f), v(16, 1.0f);
  k[0] = HUGE_VALF;
  v[1] = -HUGE_VALF;
  v[2] = HUGE_VALF;
  EXPECT_EQ(page.store(0, 0, k, v), 3);
  for (const std::vector<float>& read : {page.key(0, 0), page.value(0, 0)}) {
    for (float value : read) EXPECT_TRUE(std::isfinite(value));
  }
  EXPECT_GE(page.key(0, 0)[0], 65504.0f);
  EXPECT_LE(page.value(0, 0)[1], -65504.0f);
}

// Any bytes at all, as a page that was another mode's holds them.
TEST_P(KvTest, Avx2LoadsHaveTheBitsOfTheScalarOnes) {
  if (!has_avx2()) GTEST_SKIP() << "no AVX2 on this machine";
  std::mt19937 random(6);
  for (int64_t page_tokens : {16, 32, 128}) {
    for (int64_t head_dim : {8, 10, 64, 80, 128}) {
      KvPage page(*GetParam(), 2, head_dim, page_tokens);
      for (size_t i = 0; i < page.layout().bytes; ++i) page.layer()[i] = static_cast<std::byte>(random());
      for (int64_t head : {0, 1}) {
        const std::vector<float> scalar[] = {page.keys(head, false), page.values(head, false)};
        const std::vector<float> vector[] = {page.keys(head, true), page.values(head, true)};
        for (int i = 0; i < 2; ++i) {
          for (size_t j = 0; j < scalar[i].size(); ++j) {
            if (std::isnan(scalar[i][j])) {
              ASSERT_TRUE(std::isnan(vector[i][j]));
            } else {
              ASSERT_EQ(std::bit_cast<uint32_t>(vector[i][j]), std::bit_cast<uint32_t>(scalar[i][j]));
            }
          }
        }
      }
    }
  }
}

TEST(KvFormats, NamesAreDistinctAndUnknownOnesAreNotFound) {
  std::set<std::string_view> names;
  for (const KvFormat* format : all_kv_formats()) names.insert(format->name);
  EXPECT_EQ(names.size(), all_kv_formats().size());
  EXPECT_EQ(find_kv_format("kv3"), nullptr);
  EXPECT_EQ(find_kv_format(""), nullptr);
}

INSTANTIATE_TEST_SUITE_P(AllFormats, KvTest, testing::ValuesIn(all_kv_formats().begin(), all_kv_formats().end()),
                         [](const auto& info) { return std::string(info.param->name); });

}  // namespace
}  // namespace halftone::test
