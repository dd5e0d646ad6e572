// Codes that come from a file are taken over exactly: unpack == scale * q + minimum in float32, as the file decodes.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>

#include "kernels/contract/numbers.h"
#include "kernels/reference/operations.h"
#include "kernels/weights/weights.h"
#include "tests/kernels/devices.h"
#include "tests/kernels/packed_case.h"
#include "tests/kernels/same_bits.h"

namespace halftone::test {
namespace {

using Offset = AffineGrid::Offset;

struct Source {
  const char* name;
  AffineGrid grid;
  const char* taken_by;  // the format that must take it exactly
};

constexpr Source kSources[] = {
    {"q4_0", {4, 32, Offset::kSymmetric}, "w4"},      {"q4_1", {4, 32, Offset::kMinimum}, "w4"},
    {"gptq_128", {4, 128, Offset::kZeroPoint}, "w4"}, {"awq_64", {4, 64, Offset::kZeroPoint}, "w4"},
    {"q8_0", {8, 32, Offset::kSymmetric}, "w8"},
};

float random_half(std::mt19937& random, bool any_sign) {
  // Every finite magnitude, subnormal ones too.
  const auto bits = static_cast<uint16_t>(random() % 0x7c00);
  return f32_from_f16(any_sign && random() % 2 == 0 ? bits | 0x8000 : bits);
}

// Seeded codes on the source's grid.
struct Grid {
  Grid(const AffineGrid& grid, int64_t rows, int64_t cols, std::mt19937& random) : grid(grid), rows(rows), cols(cols) {
    const int levels = 1 << grid.bits;
    for (int64_t i = 0; i < rows * cols; ++i)
      codes.push_back(static_cast<uint8_t>(random() % static_cast<unsigned>(levels)));
    for (int64_t i = 0; i < rows * cols / grid.group; ++i) {
      scale.push_back(random_half(random, grid.offset == Offset::kSymmetric));
      switch (grid.offset) {
        case Offset::kSymmetric:
          minimum.push_back(scale.back() * static_cast<float>(-levels / 2));
          break;
        case Offset::kMinimum:
          minimum.push_back(random_half(random, true));
          break;
        case Offset::kZeroPoint:
          minimum.push_back(-scale.back() * static_cast<float>(random() % 16));
          break;
      }
    }
  }

  WeightRows some_rows(int64_t first, int64_t count) const {
    const auto part = [&](const auto& all, int64_t each) {
      return std::remove_cvref_t<decltype(all)>(all.begin() + first * each, all.begin() + (first + count) * each);
    };
    return {.rows = count,
            .cols = cols,
            .grid = grid,
            .codes = part(codes, cols),
            .scale = part(scale, cols / grid.group),
            .minimum = part(minimum, cols / grid.group),
            .input_order = input_order,
            .values = {}};
  }

  std::vector<float> decoded() const {
    std::vector<float> values;
    for (size_t i = 0; i < codes.size(); ++i) {
      const size_t group = i / static_cast<size_t>(grid.group);
      values.push_back(scale[group] * static_cast<float>(codes[i]) + minimum[group]);
    }
    return values;
  }

  AffineGrid grid;
  int64_t rows, cols;
  std::vector<uint8_t> codes;
  std::vector<float> scale, minimum;
  std::vector<int32_t> input_order;
};

class ImportTest : public testing::TestWithParam<Source> {
 protected:
  bool import(const PackedMatrix& matrix, const Grid& grid) {
    for (int64_t first = 0; first < grid.rows; first += kPackRows) {
      const int64_t count = std::min(kPackRows, grid.rows - first);
      const WeightRows rows = grid.some_rows(first, count);
      if (!matrix.format->holds(matrix.shape, rows)) return false;
      matrix.format->pack_rows(matrix, first, rows);
    }
    return true;
  }

  Ledger ledger;
  std::unique_ptr<Device> device = make_test_device({"cpu", "emulated"}, 1, ledger);
  std::mt19937 random{9};
};

TEST_P(ImportTest, FormatsThatTakeTheGridDecodeItExactly) {
  bool taken = false;
  for (const WeightFormat* format : all_weight_formats()) {
    for (int64_t rows : {1, 16, 70, 130}) {
      const std::optional<PackedShape> shape = format->plan_import(rows, 256, GetParam().grid);
      if (!shape) {
        EXPECT_NE(format->name, GetParam().taken_by);
        continue;
      }
      const Grid grid(GetParam().grid, rows, 256, random);
      const PackedCase packed(*device, *format, *shape);
      ASSERT_TRUE(import(packed.matrix(), grid)) << format->name;
      const std::vector<float> unpacked = packed.unpacked(), decoded = grid.decoded();
      for (size_t i = 0; i < decoded.size(); ++i) ASSERT_EQ(unpacked[i], decoded[i]) << format->name << " at " << i;
      taken = taken || format->name == GetParam().taken_by;
    }
  }
  EXPECT_TRUE(taken);
}

TEST_P(ImportTest, ProductsWithWhatWasTakenOverHaveTheReferencesBits) {
  const WeightFormat& format = *find_weight_format(GetParam().taken_by);
  const Grid grid(GetParam().grid, 33, 256, random);
  for (const TestDevice& row : all_test_devices()) {
    const Worker worker(row, 2);
    if (worker.get() == nullptr) continue;
    const PackedCase packed(*worker, format, *format.plan_import(33, 256, GetParam().grid));
    ASSERT_TRUE(import(packed.matrix(), grid));
    for (auto [tokens, activations] : {std::pair{int64_t{1}, Activations::kA16},
                                       {3, Activations::kA16},
                                       {9, Activations::kA16},
                                       {1, Activations::kA8},
                                       {9, Activations::kA8},
                                       {5, Activations::kA8Token}}) {
      std::vector<float> x = normal_floats(random, tokens * 256);
      std::vector<float> y(static_cast<size_t>(tokens * 33)), expected(y.size());
      LinearCall call;
      call.weights = &packed.matrix();
      call.activations = activations;
      call.x = f32_tensor(x.data(), tokens, 256);
      call.y = f32_tensor(y.data(), tokens, 33);
      worker->linear({&call, 1});
      call.y = f32_tensor(expected.data(), tokens, 33);
      reference::linear(call);
      EXPECT_TRUE(same_bits(y, expected)) << full_name(row) << ", " << tokens << " tokens";
    }
  }
}

TEST_P(ImportTest, AScaleThatIsNoHalfIsRefused) {
  const WeightFormat& format = *find_weight_format(GetParam().taken_by);
  Grid grid(GetParam().grid, 16, 256, random);
  const PackedCase packed(*device, format, *format.plan_import(16, 256, GetParam().grid));
  grid.scale[3] = 0.1f;
  grid.minimum[3] = GetParam().grid.offset == Offset::kSymmetric
                        ? grid.scale[3] * -static_cast<float>(1 << (GetParam().grid.bits - 1))
                        : 0;
  EXPECT_FALSE(import(packed.matrix(), grid));
}

TEST_P(ImportTest, AMinimumThatTheGridDoesNotAllowIsRefused) {
  const WeightFormat& format = *find_weight_format(GetParam().taken_by);
  Grid grid(GetParam().grid, 16, 256, random);
  const PackedCase packed(*device, format, *format.plan_import(16, 256, GetParam().grid));
  grid.scale[3] = 1.0f;
  grid.minimum[3] = -2.0001f;
  EXPECT_FALSE(import(packed.matrix(), grid));
}

TEST_P(ImportTest, InputsInAnotherOrderAreRefused) {
  const WeightFormat& format = *find_weight_format(GetParam().taken_by);
  Grid grid(GetParam().grid, 16, 256, random);
  std::vector<int32_t> order(256);
  for (size_t i = 0; i < order.size(); ++i) order[i] = 255 - static_cast<int32_t>(i);
  grid.input_order = order;
  const PackedCase packed(*device, format, *format.plan_import(16, 256, GetParam().grid));
  EXPECT_FALSE(import(packed.matrix(), grid));
}

INSTANTIATE_TEST_SUITE_P(AllSources, ImportTest, testing::ValuesIn(kSources),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace halftone::test
