// What the search for a group's scale and minimum finds: never worse than plain rounding, hardly worse than the best
// there is, and the same whatever lies beside the group.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "kernels/contract/numbers.h"
#include "kernels/cpu/linear.h"
#include "kernels/weights/w4/w4_search.h"
#include "kernels/weights/w8/w8_search.h"
#include "kernels/weights/weights.h"
#include "tests/kernels/devices.h"
#include "tests/kernels/packed_case.h"
#include "tests/kernels/same_bits.h"

namespace halftone::test {
namespace {

using Values = std::vector<float>;

float half(double v) { return f32_from_f16(f16_from_f32(std::clamp(static_cast<float>(v), -kF16Max, kF16Max))); }

// The grid of one group and the squared error of rounding to it, in double.
struct Grid {
  double scale = 0, minimum = 0, first = 0, last = 0;

  double code(double value) const {
    return scale > 0 ? std::clamp(std::nearbyint((value - minimum) / scale), first, last) : 0;
  }
  double error(const Values& values) const {
    double sum = 0;
    for (float v : values) sum += std::pow(v - (code(v) * scale + minimum), 2);
    return sum;
  }
};

Grid w4_grid(double scale, double minimum) { return {half(scale), half(minimum), 0, 15}; }
Grid w8_grid(double scale) { return {half(scale), 0, -127, 127}; }

float largest_size(const Values& values) {
  float size = 0;
  for (float v : values) size = std::max(size, std::fabs(v));
  return size;
}

double plain_w4(const Values& values) {
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  return w4_grid((*high - *low) / 15, *low).error(values);
}
double plain_w8(const Values& values) { return w8_grid(largest_size(values) / 127).error(values); }

// Least squares for the codes of a grid, twice; the best of what came by.
double refined_w4(const Values& values, Grid grid) {
  double best = grid.error(values);
  const double n = static_cast<double>(values.size());
  for (int round = 0; round < 2; ++round) {
    double code = 0, code_code = 0, value = 0, code_value = 0;
    for (float v : values) {
      const double q = grid.code(v);
      code += q, code_code += q * q, value += v, code_value += q * v;
    }
    const double spread = n * code_code - code * code;
    if (spread <= 0) break;
    const double scale = (n * code_value - code * value) / spread;
    grid = w4_grid(scale, (value - half(scale) * code) / n);
    best = std::min(best, grid.error(values));
  }
  return best;
}

// Every range whose ends lie a twelfth of a step apart, from a step outside to four inside.
double best_w4(const Values& values) {
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  const double step = (*high - *low) / 15.0;
  double best = plain_w4(values);
  for (int a = -12; a < 48; ++a) {
    for (int b = -12; b < 48; ++b) {
      const double scale = step * (15 - (a + b) / 12.0) / 15;
      best = std::min(best, refined_w4(values, w4_grid(scale, *low + step * a / 12)));
    }
  }
  return best;
}

// Every f16 that could be the scale.
double best_w8(const Values& values) {
  const float size = largest_size(values);
  double best = plain_w8(values);
  for (uint16_t bits = f16_from_f32(size / 150); f32_from_f16(bits) < size / 90; ++bits) {
    best = std::min(best, w8_grid(f32_from_f16(bits)).error(values));
  }
  return best;
}

struct Format {
  const char* name;
  double (*plain)(const Values&);
  double (*best)(const Values&);
  double no_group_above;  // of the best
};
constexpr Format kFormats[] = {{"w4", plain_w4, best_w4, 1.25}, {"w8", plain_w8, best_w8, 1.35}};

struct Kind {
  const char* name;
  float (*draw)(std::mt19937&);
};
constexpr Kind kKinds[] = {
    {"normal", [](std::mt19937& r) { return std::normal_distribution<float>(0, 0.02f)(r); }},
    {"heavy tails", [](std::mt19937& r) { return 0.01f * std::student_t_distribution<float>(2)(r); }},
    {"one side", [](std::mt19937& r) { return std::exponential_distribution<float>(30)(r); }},
    {"far from zero", [](std::mt19937& r) { return 3 + std::normal_distribution<float>(0, 0.3f)(r); }},
    {"few values", [](std::mt19937& r) { return static_cast<float>(r() % 5) * 0.11f - 0.2f; }},
    {"subnormal scales", [](std::mt19937& r) { return std::normal_distribution<float>(0, 2e-5f)(r); }},
    {"hardly in range", [](std::mt19937& r) { return std::normal_distribution<float>(0, 3e5f)(r); }},
};

class SearchTest : public testing::TestWithParam<Format> {
 protected:
  Values draw(const Kind& kind, int64_t count) {
    Values values(static_cast<size_t>(count));
    for (float& v : values) v = kind.draw(random);
    return values;
  }
  PackedCase packed(const Values& values, int64_t rows, int group) {
    const WeightFormat& format = *find_weight_format(GetParam().name);
    PackedCase made(*device, format, *format.plan(rows, static_cast<int64_t>(values.size()) / rows, group));
    made.pack(values);
    return made;
  }
  // The errors of all groups, which are `group` neighbours each.
  std::vector<double> errors(const Values& values, int64_t rows, int group) {
    const Values got = packed(values, rows, group).unpacked();
    std::vector<double> sums(values.size() / static_cast<size_t>(group));
    for (size_t i = 0; i < values.size(); ++i) {
      sums[i / static_cast<size_t>(group)] += std::pow(static_cast<double>(got[i]) - values[i], 2);
    }
    return sums;
  }
  static Values group_of(const Values& values, size_t index, int group) {
    const auto begin = values.begin() + static_cast<int64_t>(index) * group;
    return {begin, begin + group};
  }

  Ledger ledger;
  std::unique_ptr<Device> device = make_test_device({"cpu", "emulated"}, 1, ledger);
  std::mt19937 random{11};
};

TEST_P(SearchTest, NoGroupIsWorseThanPlainRounding) {
  for (const Kind& kind : kKinds) {
    for (int group : {1, 2, 16, 32, 64, 128, 576}) {
      const Values values = draw(kind, 19 * 2 * group);
      const std::vector<double> found = errors(values, 19, group);
      for (size_t g = 0; g < found.size(); ++g) {
        // Errors are compared in float32 while searching.
        ASSERT_LE(found[g], GetParam().plain(group_of(values, g, group)) * (1 + 1e-4) + 1e-18)
            << kind.name << ", group of " << group;
      }
    }
  }
}

TEST_P(SearchTest, HardlyAnyGroupCouldBeRoundedBetter) {
  for (const Kind& kind : {kKinds[0], kKinds[1], kKinds[2]}) {
    for (int group : {32, 64}) {
      const Values values = draw(kind, 24 * group);
      const std::vector<double> found = errors(values, 24, group);
      double ratios = 0, gains = 0;
      for (size_t g = 0; g < found.size(); ++g) {
        const Values one = group_of(values, g, group);
        const double best = GetParam().best(one);
        EXPECT_LE(found[g], best * GetParam().no_group_above) << kind.name << ", group of " << group;
        ratios += found[g] / best;
        gains += GetParam().plain(one) / found[g];
      }
      const double groups = static_cast<double>(found.size());
      EXPECT_LE(ratios / groups, 1.01) << kind.name << ", group of " << group;
      EXPECT_GE(gains / groups, 1.08) << kind.name << ": or there was nothing to search for";
    }
  }
}

TEST_P(SearchTest, AGroupIsRoundedTheSameWhateverLiesBesideIt) {
  const Values values = draw(kKinds[1], 70 * 96);
  const Values together = packed(values, 70, 32).unpacked();
  for (int64_t row : {0, 7, 8, 63, 69}) {
    const auto begin = values.begin() + row * 96;
    const Values alone = packed({begin, begin + 96}, 1, 32).unpacked();
    EXPECT_TRUE(same_bits(alone, std::span(together).subspan(static_cast<size_t>(row * 96), 96))) << "row " << row;
  }
}

TEST_P(SearchTest, AValueThatIsNotFiniteSpoilsItsGroupAlone) {
  const Values clean = draw(kKinds[0], 20 * 96);
  const Values expected = packed(clean, 20, 32).unpacked();
  for (float bad : {NAN, INFINITY, -INFINITY}) {
    Values values = clean;
    values[5 * 96 + 40] = bad;
    const Values got = packed(values, 20, 32).unpacked();
    for (size_t i = 0; i < got.size(); ++i) {
      const bool spoilt = i >= 5 * 96 + 32 && i < 5 * 96 + 64;
      ASSERT_EQ(std::isnan(got[i]), spoilt) << i;
      if (!spoilt) {
        ASSERT_EQ(got[i], expected[i]) << i;
      }
    }
  }
}

TEST_P(SearchTest, EqualValuesAreAsExactAsPlainRoundingMakesThem) {
  for (float value : {0.0f, 0.3f, -0.25f, -1e-9f, 70000.0f}) {
    const Values got = packed(Values(20 * 64, value), 20, 64).unpacked();
    const double plain = std::sqrt(GetParam().plain(Values(1, value)));
    for (float v : got) ASSERT_LE(std::fabs(v - value), plain * (1 + 1e-6)) << value;
  }
}

// The scales, then the minimums, of all groups of a matrix; rows of `values` are `cols` long.
Values found_by(const GroupSearch& search, const Values& values, int64_t cols, int64_t group) {
  const int64_t rows = static_cast<int64_t>(values.size()) / cols;
  Values out;
  std::vector<float> tile(static_cast<size_t>(group * search.rows));
  for (int64_t first = 0; first < cols; first += group) {
    const int64_t size = std::min(group, cols - first);
    for (bool minimums : {false, true}) {
      for (int64_t r = 0; r < rows; r += search.rows) {
        const int64_t count = std::min(search.rows, rows - r);
        float scale[kMaxSearchRows] = {}, minimum[kMaxSearchRows] = {};
        search.find({&values[static_cast<size_t>(r * cols + first)], cols, count, size}, tile.data(), scale, minimum);
        out.insert(out.end(), minimums ? minimum : scale, (minimums ? minimum : scale) + count);
      }
    }
  }
  return out;
}

TEST_P(SearchTest, EveryInstructionSetFindsTheSameBits) {
  const GroupSearches& searches = GetParam().name == std::string("w4") ? w4::kSearches : w8::kSearches;
  const GroupSearch& emulated = *searches.bodies[static_cast<int>(CpuIsa::kEmulated)];
  for (CpuIsa isa : cpu_isas()) {
    for (const Kind& kind : kKinds) {
      for (int64_t group : {1, 16, 32, 64, 100}) {
        Values values = draw(kind, 37 * 200);
        values[5 * 200 + 40] = NAN;
        values[36 * 200 + 199] = INFINITY;
        EXPECT_TRUE(same_bits(found_by(*searches.bodies[static_cast<int>(isa)], values, 200, group),
                              found_by(emulated, values, 200, group)))
            << cpu_isa_name(isa) << ", " << kind.name << ", groups of " << group;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, SearchTest, testing::ValuesIn(kFormats),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace halftone::test
