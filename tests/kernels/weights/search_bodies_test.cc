// The bodies of a search, one for each instruction set that runs here: all find the bits of the one without any, and
// round to the same codes, whatever the values and the size of the group; and the lanes' own f16 rounding.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "kernels/contract/numbers.h"
#include "kernels/weights/group_search_body.h"
#include "kernels/weights/w4/w4_search.h"
#include "kernels/weights/w8/w8_search.h"

namespace halftone::test {
namespace {

using Values = std::vector<float>;
using Bits = std::vector<uint32_t>;

struct Format {
  const char* name;
  const GroupSearches& searches;
  float (*code)(float value, float scale, float minimum);  // in plain operations, as WeightRows has it
};

float code_w4(float value, float scale, float minimum) {
  const float inverse = scale > 0 ? 1 / scale : 0;
  return std::nearbyint(std::clamp((value - minimum) * inverse, 0.0f, 15.0f));
}
float code_w8(float value, float scale, float /*minimum*/) {
  const float inverse = scale > 0 ? 1 / scale : 0;
  return std::nearbyint(std::clamp(value * inverse, -127.0f, 127.0f)) + 128;
}
const Format kFormats[] = {{"w4", w4::kSearches, code_w4}, {"w8", w8::kSearches, code_w8}};

// One row's group, drawn by what kind of row it is.
void draw(int64_t row, std::mt19937& random, std::span<float> group) {
  auto normal = [&](float width) {
    for (float& v : group) v = std::normal_distribution<float>(0, width)(random);
  };
  auto fill = [&](float value) { std::ranges::fill(group, value); };
  auto put = [&](float value) { group[random() % group.size()] = value; };
  switch (row % 16) {
    case 0:
      return normal(0.02f);
    case 1:
      return normal(1e-30f);
    case 2:
      return normal(1e-40f);  // subnormal
    case 3:
      return normal(3e-6f);  // scales that are subnormal halves
    case 4:
      return normal(3e5f);  // beyond what halves hold
    case 5:
      return normal(1e38f);  // differences overflow
    case 6:
      return fill(0.3f);
    case 7:
      return fill(-70000.0f);
    case 8:
      return fill(row % 32 == 8 ? 0.0f : -0.0f);
    case 9:
      return normal(0.02f), put(NAN);
    case 10:
      return normal(0.02f), put(-NAN), put(INFINITY);
    case 11:
      return normal(0.02f), put(INFINITY), put(NAN);
    case 12:
      return normal(0.02f), put(-INFINITY), put(INFINITY);
    case 13:
      return normal(0.02f), put(1e30f);
    case 14:
      for (float& v : group) v = static_cast<float>(random() % 5) * 0.11f - 0.2f;
      return;
    default:
      return fill(std::numeric_limits<float>::max());
  }
}

// Scales, minimums (where the search has them) and codes of all rows; codes of groups that are not finite are left out.
Bits found_by(const GroupSearch& search, const Values& values, int64_t rows, int64_t size) {
  Bits out;
  std::vector<float> tile(static_cast<size_t>(size * search.rows));
  std::vector<uint8_t> codes(static_cast<size_t>(size));
  for (int64_t r = 0; r < rows; r += search.rows) {
    const int64_t count = std::min(search.rows, rows - r);
    float scale[kMaxSearchRows] = {}, minimum[kMaxSearchRows] = {};
    search.find({&values[static_cast<size_t>(r * size)], size, count, size}, tile.data(), scale, minimum);
    for (int64_t i = 0; i < count; ++i) {
      out.push_back(std::bit_cast<uint32_t>(scale[i]));
      out.push_back(std::bit_cast<uint32_t>(minimum[i]));
      if (std::isnan(scale[i])) continue;
      search.round(&values[static_cast<size_t>((r + i) * size)], size, scale[i], minimum[i], codes.data());
      out.insert(out.end(), codes.begin(), codes.end());
    }
  }
  return out;
}

class SearchBodiesTest : public testing::TestWithParam<Format> {
 protected:
  Values drawn(int64_t rows, int64_t size) {
    Values values(static_cast<size_t>(rows * size));
    for (int64_t r = 0; r < rows; ++r) {
      draw(r, random, std::span(values).subspan(static_cast<size_t>(r * size), static_cast<size_t>(size)));
    }
    return values;
  }
  const GroupSearch& body(CpuIsa isa) const { return *GetParam().searches.bodies[static_cast<int>(isa)]; }

  std::mt19937 random{23};
};

TEST_P(SearchBodiesTest, AllFindTheSameBitsInGroupsOfEverySize) {
  constexpr int64_t kRows = kMaxSearchRows + 5;  // a full vector of rows and a short one for each body
  for (int64_t size = 1; size <= 257; ++size) {
    const Values values = drawn(kRows, size);
    const Bits expected = found_by(body(CpuIsa::kEmulated), values, kRows, size);
    for (CpuIsa isa : cpu_isas()) {
      ASSERT_EQ(found_by(body(isa), values, kRows, size), expected) << cpu_isa_name(isa) << ", groups of " << size;
    }
  }
}

TEST_P(SearchBodiesTest, AllRoundAsPlainOperationsDo) {
  for (CpuIsa isa : cpu_isas()) {
    for (int64_t size : {1, 7, 8, 16, 31, 32, 33, 64, 100}) {
      const Values values = drawn(1, size);
      for (float scale : {0.0f, 0x1p-24f, 0.0003f, 0.002f, kF16Max}) {
        for (float minimum : {0.0f, -0.05f, 0.01f, -kF16Max}) {
          std::vector<uint8_t> codes(static_cast<size_t>(size) + 1, 200);  // the last one is not to be touched
          body(isa).round(values.data(), size, scale, minimum, codes.data());
          for (size_t i = 0; i < values.size(); ++i) {
            ASSERT_EQ(codes[i], GetParam().code(values[i], scale, minimum))
                << cpu_isa_name(isa) << ", " << values[i] << " by " << scale << " from " << minimum;
          }
          ASSERT_EQ(codes.back(), 200) << cpu_isa_name(isa) << ", " << size;
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, SearchBodiesTest, testing::ValuesIn(kFormats),
                         [](const auto& info) { return std::string(info.param.name); });

// f16_from_f32 is the truth; a value beyond the range becomes its end.
void expect_half(float value) {
  using L = Lanes<16>;
  float got[L::kRows];
  std::ranges::fill(got, value);
  f16_in_range(L::load(got)).store(got);
  const float in = std::isnan(value) ? value : std::clamp(value, -kF16Max, kF16Max);
  const float expected = f32_from_f16(f16_from_f32(in));
  for (float v : got) ASSERT_EQ(std::bit_cast<uint32_t>(v), std::bit_cast<uint32_t>(expected)) << value;
}

TEST(LanesTest, RoundToTheHalvesOfTheContract) {
  for (uint32_t half = 0; half < 0x10000; ++half) {
    // The value itself and its surroundings, the middle to the next half among them.
    const uint32_t bits = std::bit_cast<uint32_t>(f32_from_f16(static_cast<uint16_t>(half)));
    for (uint32_t offset : {0u, 1u, 0xfffu, 0x1000u, 0x1001u, 0x1fffu}) {
      expect_half(std::bit_cast<float>(bits + offset));
      expect_half(std::bit_cast<float>(bits - offset));
    }
    // Every value of this exponent and these upper places, down to the subnormal floats and up to NaN.
    expect_half(std::bit_cast<float>(half << 16));
    expect_half(std::bit_cast<float>(half << 16 | 0x8001u));
    // Middles of subnormal halves, which lie further apart than any place of theirs.
    const float middle = (static_cast<float>(half % 1024) + 0.5f) * 0x1p-24f;
    for (float v : {middle, std::nextafter(middle, 0.0f), std::nextafter(middle, 1.0f)}) {
      expect_half(v);
      expect_half(-v);
    }
  }
}

TEST(LanesTest, TilesHoldRowsSideBySide) {
  using L = Lanes<16>;
  constexpr int64_t kStride = 40;
  Values values(static_cast<size_t>(L::kRows * kStride));
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i + 1);
  for (int64_t rows = 1; rows <= L::kRows; ++rows) {
    for (int64_t size : {1, 3, 15, 16, 17, 32, 37}) {
      Values tile(static_cast<size_t>(size * L::kRows + 1), -1);
      load_tile<L>({values.data(), kStride, rows, size}, tile.data());
      for (int64_t i = 0; i < size; ++i) {
        for (int64_t row = 0; row < L::kRows; ++row) {
          const float expected = row < rows ? values[static_cast<size_t>(row * kStride + i)] : 0;
          ASSERT_EQ(tile[static_cast<size_t>(i * L::kRows + row)], expected) << "row " << row << ", input " << i;
        }
      }
      ASSERT_EQ(tile.back(), -1);
    }
  }
}

}  // namespace
}  // namespace halftone::test
