// docs/NUMERICS.md, "Packing from values", one group at a time in plain loops: packing stores exactly those scales and
// minimums. And the bytes themselves, which tell when packed weights that were kept are out of date.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <utility>

#include "kernels/contract/numbers.h"
#include "kernels/weights/weights.h"
#include "tests/kernels/devices.h"
#include "tests/kernels/packed_case.h"
#include "tests/kernels/same_bits.h"

namespace halftone::test {
namespace {

using Values = std::span<const float>;

float half(float v) { return f32_from_f16(f16_from_f32(std::clamp(v, -kF16Max, kF16Max))); }
float inverse(float scale) { return scale > 0 ? 1 / scale : 0; }
float rounded(float v, float first, float last) { return std::nearbyint(std::clamp(v, first, last)); }

struct Grid {
  float scale = 0, minimum = 0;
};

struct W8Rule {
  std::vector<float> u;
  float step = 0, per_step = 0;

  explicit W8Rule(Values values) {
    float amax = 0;
    for (float x : values) amax = std::max(amax, std::fabs(x));
    step = amax / 127;
    per_step = inverse(step);
    for (float x : values) u.push_back(x * per_step);
  }
  // The error of a stored scale, and the next fit.
  float error(float stored, float* fit) const {
    const float scale = stored * per_step;
    float sum = 0, code_code = 0, code_u = 0;
    for (float x : u) {
      const float code = rounded(x * inverse(scale), -127, 127), off = x - code * scale;
      sum += off * off, code_code += code * code, code_u += code * x;
    }
    *fit = code_u / code_code;
    return sum;
  }
  Grid find() const {
    std::vector<std::pair<float, float>> candidates;  // error, scale
    for (float top = 108; top < 132; top += 0.25f) {
      const float scale = 127 / top;
      float sum = 0;
      for (float x : u) {
        const float t = x * (top / 127), off = t - rounded(t, -127, 127);
        sum += off * off;
      }
      candidates.emplace_back(sum * (scale * scale), scale);
    }
    std::stable_sort(candidates.begin(), candidates.end(), [](auto& a, auto& b) { return a.first < b.first; });
    float fit = 0, best = half(step), least = error(best, &fit);
    for (int start = 0; start < 2; ++start) {
      fit = candidates[static_cast<size_t>(start)].second;
      for (int round = 0; round < 3; ++round) {
        const float stored = half(fit * step), sum = error(stored, &fit);
        if (sum < least) least = sum, best = stored;
      }
    }
    return {best, 0};
  }
};

struct W4Rule {
  struct Fit {
    float slope = 0, mean_code = 0, gain = 0;
  };
  struct Sums {
    float code = 0, code_code = 0, code_u = 0;
    void add(float q, float x) { code += q, code_code += q * q, code_u += q * x; }
  };
  std::vector<float> u;
  float low = 0, step = 0, per_step = 0, sum = 0, n = 0;

  explicit W4Rule(Values values) {
    const auto [least, largest] = std::minmax_element(values.begin(), values.end());
    low = *least;
    step = (*largest - low) / 15;
    per_step = inverse(step);
    n = static_cast<float>(values.size());
    for (float x : values) u.push_back((x - low) * per_step - 7.5f), sum += u.back();
  }
  Fit fit(const Sums& s) const {
    const float together = s.code_u * n - s.code * sum, slope = together / (s.code_code * n - s.code * s.code);
    return {slope, s.code / n, together * slope};
  }
  float error(const Grid& grid, Fit* next) const {
    const float scale = grid.scale * per_step, minimum = (grid.minimum - low) * per_step - 7.5f;
    float squares = 0;
    Sums sums;
    for (float x : u) {
      const float code = rounded((x - minimum) * inverse(scale), 0, 15), off = (x - minimum) - code * scale;
      squares += off * off;
      sums.add(code, x);
    }
    *next = fit(sums);
    return squares;
  }
  // Best first; of those that explain the same, and of those that explain nothing, none but the first.
  std::array<Fit, 2> candidates() const {
    std::array<Fit, 2> best;
    for (int i = 0; i < 7; ++i) {
      for (int j = 0; j < 7; ++j) {
        const float a = -1 + 0.3f * static_cast<float>(i), b = -1 + 0.3f * static_cast<float>(j);
        Sums sums;
        for (float x : u) sums.add(rounded((x - (a - 7.5f)) * (15 / (15 - a - b)), 0, 15), x);
        const Fit found = fit(sums);
        if (found.gain > best[0].gain) {
          best[1] = std::exchange(best[0], found);
        } else if (found.gain < best[0].gain && found.gain > best[1].gain) {
          best[1] = found;
        }
      }
    }
    return best;
  }
  Grid find() const {
    Grid best{half(step), half(low)};
    Fit next;
    float least = error(best, &next);
    for (const Fit& start : candidates()) {
      next = start;
      for (int round = 0; round < 4; ++round) {
        Grid grid{half(next.slope * step), 0};
        const float minimum = sum / n - grid.scale * per_step * next.mean_code;
        grid.minimum = half(low + (minimum + 7.5f) * step);
        const float squares = error(grid, &next);
        if (squares < least) least = squares, best = grid;
      }
    }
    return best;
  }
};

// Values from integers alone, so that they are the same with every library: like a bell, or with long tails.
std::vector<float> drawn(int64_t count, bool tails) {
  std::mt19937 random(17);
  std::vector<float> values(static_cast<size_t>(count));
  for (float& v : values) {
    float sum = -2;
    for (int i = 0; i < 4; ++i) sum += static_cast<float>(random() >> 8) * 0x1p-24f;
    v = tails ? sum * sum * sum * 0.1f : sum * 0.05f;
  }
  return values;
}

class RuleTest : public testing::Test {
 protected:
  PackedCase packed(const char* name, int group, bool tails) {
    const WeightFormat& format = *find_weight_format(name);
    PackedCase made(*device, format, *format.plan(kRows, kCols, group));
    made.pack(drawn(kRows * kCols, tails));
    return made;
  }
  template <typename Rule>
  void expect_rule(const char* name, int group) {
    for (bool tails : {false, true}) {
      const PackedCase made = packed(name, group, tails);
      const std::vector<float> values = drawn(kRows * kCols, tails);
      WeightRows stored;
      made.matrix().format->unpack_codes(made.matrix(), 0, kRows, &stored);
      const auto size = static_cast<size_t>(made.matrix().shape.group);
      for (size_t g = 0; g < stored.scale.size(); ++g) {
        const Grid grid = Rule(Values(values).subspan(g * size, size)).find();
        ASSERT_EQ(stored.scale[g], grid.scale) << name << " in groups of " << size << ", group " << g;
        if (name == std::string("w4")) {
          ASSERT_EQ(stored.minimum[g], grid.minimum) << "groups of " << size << ", group " << g;
        }
      }
    }
  }

  static constexpr int64_t kRows = 37, kCols = 192;
  Ledger ledger;
  std::unique_ptr<Device> device = make_test_device({"cpu", "emulated"}, 1, ledger);
};

TEST_F(RuleTest, ScalesOfW8AreThoseOfTheRule) {
  for (int group : {16, 32, 64, 0}) expect_rule<W8Rule>("w8", group);
}

TEST_F(RuleTest, ScalesAndMinimumsOfW4AreThoseOfTheRule) {
  for (int group : {16, 32, 64}) expect_rule<W4Rule>("w4", group);
}

// FNV-1a.
uint64_t digest(const PackedMatrix& matrix) {
  const PackedBytes bytes = matrix.format->bytes(matrix.shape);
  uint64_t sum = 0xcbf29ce484222325;
  for (auto [data, size] : {std::pair{matrix.codes, bytes.codes}, {matrix.scales, bytes.scales}}) {
    for (size_t i = 0; i < size; ++i) sum = (sum ^ std::to_integer<uint64_t>(data[i])) * 0x100000001b3;
  }
  return sum;
}

TEST_F(RuleTest, BytesAreThoseOfTheFormatsPackingNumber) {
  const struct {
    const char* name;
    int packing;
    uint64_t bytes;
  } kKnown[] = {{"w8", 1, 3302293876306681970u}, {"w4", 1, 5936648354933822487u}};
  for (const auto& known : kKnown) {
    EXPECT_EQ(find_weight_format(known.name)->packing, known.packing);
    EXPECT_EQ(digest(packed(known.name, 0, true).matrix()), known.bytes)
        << known.name << ": if it is meant to be packed in another way, count WeightFormat::packing up";
  }
}

}  // namespace
}  // namespace halftone::test
