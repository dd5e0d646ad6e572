// Packing and unpacking of every weight format: what is lost, and that nothing depends on how the rows come.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>

#include "kernels/weights/weights.h"
#include "tests/kernels/devices.h"
#include "tests/kernels/packed_case.h"
#include "tests/kernels/same_bits.h"

namespace halftone::test {
namespace {

struct Group {
  float low, high;  // of the values that share a scale
};

float amax(const Group& group) { return std::max(std::fabs(group.low), std::fabs(group.high)); }

// How far a value may lie from what was packed by plain rounding, and all values of a group together, as the root of
// their squares, however they were packed. A scale is an f16: 2^-11 of it, and 2^-25 where it is subnormal.
using Bound = float (*)(float value, const Group& group);

const std::map<std::string_view, Bound>& bounds() {
  static const std::map<std::string_view, Bound> kBounds = {
      {"f32", [](float, const Group&) { return 0.0f; }},
      {"bf16", [](float value, const Group&) { return std::fabs(value) * 0x1p-8f; }},
      {"w8",
       [](float, const Group& group) {
         const float step = amax(group) / 127;
         return step * 0.5f + 127 * (step * 0x1p-11f + 0x1p-25f);
       }},
      {"w4",
       [](float, const Group& group) {
         const float step = (group.high - group.low) / 15;
         return step * 0.5f + 15 * (step * 0x1p-11f + 0x1p-25f) + std::fabs(group.low) * 0x1p-11f + 0x1p-25f;
       }},
  };
  return kBounds;
}

class PackTest : public testing::TestWithParam<const WeightFormat*> {
 protected:
  const WeightFormat& format() const { return *GetParam(); }

  std::optional<PackedCase> packed(int64_t rows, int64_t cols, const std::vector<float>& values) {
    const std::optional<PackedShape> shape = format().plan(rows, cols, 32);
    if (!shape) return std::nullopt;
    PackedCase made(*device, format(), *shape);
    made.pack(values);
    return made;
  }

  Ledger ledger;
  std::unique_ptr<Device> device = make_test_device({"cpu", "emulated"}, 1, ledger);
};

constexpr std::pair<int64_t, int64_t> kShapes[] = {{1, 1}, {3, 33}, {16, 64}, {17, 31}, {64, 100}, {130, 96}};

TEST_P(PackTest, ItsNameFindsIt) { EXPECT_EQ(find_weight_format(format().name), &format()); }

TEST_P(PackTest, AGroupsErrorLiesWithinTheFormatsBound) {
  ASSERT_TRUE(bounds().contains(format().name)) << "write the bound of this format here";
  const Bound bound = bounds().at(format().name);
  std::mt19937 random(1);
  for (float scale : {1.0f, 1e-3f, 1e-7f, 300.0f}) {
    for (auto [rows, cols] : kShapes) {
      const std::vector<float> values = normal_floats(random, rows * cols, scale);
      const std::optional<PackedCase> made = packed(rows, cols, values);
      if (!made) continue;
      const std::vector<float> unpacked = made->unpacked();
      const int64_t in_group = made->matrix().shape.group > 0 ? made->matrix().shape.group : cols;
      for (int64_t r = 0; r < rows; ++r) {
        for (int64_t first = 0; first < cols; first += in_group) {
          const auto begin = values.begin() + r * cols + first, end = begin + std::min(in_group, cols - first);
          const Group group{*std::min_element(begin, end), *std::max_element(begin, end)};
          double error = 0, allowed = 0;
          for (auto value = begin; value != end; ++value) {
            const float got = unpacked[static_cast<size_t>(value - values.begin())];
            error += std::pow(static_cast<double>(got) - *value, 2);
            allowed += std::pow(static_cast<double>(bound(*value, group)), 2);
          }
          ASSERT_LE(error, allowed * 1.0001) << rows << " x " << cols << ", row " << r << " from " << first << " on";
        }
      }
    }
  }
}

TEST_P(PackTest, AnyPartOfTheRowsUnpacksAsInTheWhole) {
  std::mt19937 random(2);
  const std::optional<PackedCase> made = packed(130, 96, normal_floats(random, 130 * 96));
  if (!made) GTEST_SKIP() << "the format can't hold this shape";
  const std::vector<float> all = made->unpacked();
  for (auto [first, count] : {std::pair<int64_t, int64_t>{0, 1}, {15, 3}, {63, 2}, {129, 1}, {7, 100}}) {
    std::vector<float> part(static_cast<size_t>(count * 96));
    format().unpack_rows(made->matrix(), first, count, part.data());
    EXPECT_TRUE(same_bits(part, std::span(all).subspan(static_cast<size_t>(first * 96), part.size())));
  }
}

TEST_P(PackTest, TheOrderOfTheBlocksOfRowsDoesNotMatter) {
  std::mt19937 random(3);
  const std::vector<float> values = normal_floats(random, 130 * 96);
  const std::optional<PackedCase> forward = packed(130, 96, values);
  if (!forward) GTEST_SKIP() << "the format can't hold this shape";
  const PackedCase backward(*device, format(), forward->matrix().shape);
  for (int64_t first : {128, 64, 0}) {
    WeightRows rows;
    format().quantize(backward.matrix().shape, std::min<int64_t>(64, 130 - first),
                      &values[static_cast<size_t>(first * 96)], &rows);
    format().pack_rows(backward.matrix(), first, rows);
  }
  const PackedBytes bytes = format().bytes(forward->matrix().shape);
  EXPECT_EQ(std::memcmp(forward->matrix().codes, backward.matrix().codes, bytes.codes), 0);
  if (bytes.scales > 0) {
    EXPECT_EQ(std::memcmp(forward->matrix().scales, backward.matrix().scales, bytes.scales), 0);
  }
}

TEST_P(PackTest, ZerosAndEqualValuesAreExact) {
  for (float value : {0.0f, 1.0f, -0.25f}) {
    const std::vector<float> values(20 * 64, value);
    const std::optional<PackedCase> made = packed(20, 64, values);
    if (!made) GTEST_SKIP() << "the format can't hold this shape";
    // Where codes are symmetric an f16 scale rounds 1 / 127.
    for (float got : made->unpacked()) ASSERT_NEAR(got, value, std::fabs(value) * 0x1p-11f);
  }
}

TEST_P(PackTest, ValuesBeyondTheRangeOfAScaleStayFinite) {
  std::vector<float> values(16 * 64, 1.0f);
  values[0] = 3e38f;
  values[70] = -3e38f;
  const std::optional<PackedCase> made = packed(16, 64, values);
  if (!made) GTEST_SKIP() << "the format can't hold this shape";
  for (float got : made->unpacked()) ASSERT_FALSE(std::isnan(got));
}

// 4 bits and an f16 scale and minimum for 32 inputs are 5 bits a weight; whole blocks of outputs are stored.
TEST(WeightFormats, BytesAreWhatTheLayoutsSay) {
  auto bits_per_weight = [](std::string_view name, int group) {
    const WeightFormat* format = find_weight_format(name);
    return static_cast<double>(format->bytes(*format->plan(576, 1536, group)).total()) * 8 / (576 * 1536);
  };
  EXPECT_EQ(bits_per_weight("f32", 0), 32);
  EXPECT_EQ(bits_per_weight("bf16", 0), 16);
  EXPECT_EQ(bits_per_weight("w8", 0), 8 + 16.0 / 1536) << "a scale for each output";
  EXPECT_EQ(bits_per_weight("w8", 32), 8.5);
  EXPECT_EQ(bits_per_weight("w4", 0), 4.5);
  EXPECT_EQ(bits_per_weight("w4", 32), 5);
  EXPECT_EQ(bits_per_weight("w4", 128), 4.25);
}

TEST(WeightFormats, W4ChoosesGroupsThatDivideARow) {
  const WeightFormat& w4 = *find_weight_format("w4");
  EXPECT_EQ(w4.plan(1, 576, 0)->group, 64);
  EXPECT_EQ(w4.plan(1, 1504, 0)->group, 32);
  EXPECT_FALSE(w4.plan(1, 40, 0).has_value());
  EXPECT_EQ(w4.plan(1, 40, 32)->group, 32) << "asked for, the last group may be shorter";
}

TEST(WeightFormats, NamesAreDistinctAndUnknownOnesAreNotFound) {
  std::set<std::string_view> names;
  for (const WeightFormat* format : all_weight_formats()) names.insert(format->name);
  EXPECT_EQ(names.size(), all_weight_formats().size());
  EXPECT_EQ(find_weight_format("w3"), nullptr);
  EXPECT_EQ(find_weight_format(""), nullptr);
}

INSTANTIATE_TEST_SUITE_P(AllFormats, PackTest,
                         testing::ValuesIn(all_weight_formats().begin(), all_weight_formats().end()),
                         [](const auto& info) { return std::string(info.param->name); });

}  // namespace
}  // namespace halftone::test
