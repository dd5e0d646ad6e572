#include "kernels/kv/kv16/kv16.h"

#include <gtest/gtest.h>

#include <cmath>

#include "kernels/contract/numbers.h"
#include "tests/kernels/kv/kv_page.h"

namespace halftone::test {
namespace {

TEST(Kv16, EveryFiniteHalfIsStoredExactly) {
  KvPage page(kKv16, 1, 16, 16);
  for (uint32_t first = 0; first < 0x10000; first += 16) {
    if ((first & 0x7c00) == 0x7c00) continue;
    std::vector<float> values;
    for (uint32_t i = 0; i < 16; ++i) values.push_back(f32_from_f16(static_cast<uint16_t>(first + i)));
    EXPECT_EQ(page.store(0, 0, values, values), 0);
    EXPECT_EQ(page.key(0, 0), values);
    EXPECT_EQ(page.value(0, 0), values);
  }
}

TEST(Kv16, RoundsToNearestEven) {
  KvPage page(kKv16, 1, 4, 16);
  const std::vector<float> middles = {1 + 0x1p-11f, 1 + 3 * 0x1p-11f, -(1 + 0x1p-11f), 0x1p-25f};
  page.store(0, 0, middles, middles);
  EXPECT_EQ(page.value(0, 0), (std::vector<float>{1, 1 + 0x1p-9f, -1, 0}));
}

TEST(Kv16, ClampsJustBeyondTheLargestHalf) {
  KvPage page(kKv16, 1, 4, 16);
  const float beyond = std::nextafter(65504.0f, 1e6f);
  const std::vector<float> k = {65504.0f, -65504.0f, beyond, -beyond}, v = {1, 2, 3, 1e30f};
  EXPECT_EQ(page.store(0, 0, k, v), 3);
  EXPECT_EQ(page.key(0, 0), (std::vector<float>{65504.0f, -65504.0f, 65504.0f, -65504.0f}));
  EXPECT_EQ(page.value(0, 0), (std::vector<float>{1, 2, 3, 65504.0f}));
}

TEST(Kv16, KeysLieByDimensionAndValuesByToken) {
  KvPage page(kKv16, 2, 4, 16);
  page.store(1, 3, {1, 2, 3, 4}, {5, 6, 7, 8});
  const uint16_t* halves = reinterpret_cast<const uint16_t*>(page.layer());
  const size_t head = 2 * 4 * 16;
  EXPECT_EQ(f32_from_f16(halves[head + 2 * 16 + 3]), 3);
  EXPECT_EQ(f32_from_f16(halves[head + 4 * 16 + 3 * 4 + 2]), 7);
}

}  // namespace
}  // namespace halftone::test
