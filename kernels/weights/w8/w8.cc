#include "kernels/weights/w8/w8.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/contract/numbers.h"
#include "kernels/weights/w8/w8_kernels.h"
#include "kernels/weights/w8/w8_layout.h"
#include "kernels/weights/w8/w8_search.h"

namespace halftone {
namespace {

using Offset = AffineGrid::Offset;

int8_t* codes_of_row(const PackedMatrix& m, int64_t row) {
  int64_t block = row / kRowBlock, lane = row % kRowBlock;
  return reinterpret_cast<int8_t*>(m.codes) + (block * w8::words(m.shape) * kRowBlock + lane) * w8::kWordInputs;
}

int8_t& code(int8_t* row, int64_t c) {
  return row[c / w8::kWordInputs * (kRowBlock * w8::kWordInputs) + c % w8::kWordInputs];
}

uint16_t& scale(const PackedMatrix& m, int64_t row, int64_t group) {
  int64_t block = row / kRowBlock, lane = row % kRowBlock;
  return reinterpret_cast<uint16_t*>(m.scales)[(block * w8::groups(m.shape) + group) * kRowBlock + lane];
}

std::optional<PackedShape> plan(int64_t rows, int64_t cols, int group) {
  return PackedShape{rows, cols, group > 0 ? group : static_cast<int>(cols), Offset::kSymmetric};
}

std::optional<PackedShape> plan_import(int64_t rows, int64_t cols, const AffineGrid& grid) {
  bool fits = grid.bits == 8 && grid.group > 0 && grid.group % w8::kGroupUnit == 0 && grid.offset == Offset::kSymmetric;
  if (!fits) return std::nullopt;
  return PackedShape{rows, cols, grid.group, Offset::kSymmetric};
}

PackedBytes bytes(const PackedShape& s) {
  auto lanes = static_cast<size_t>(w8::blocks(s) * kRowBlock);
  return {lanes * static_cast<size_t>(w8::words(s)) * w8::kWordInputs, lanes * static_cast<size_t>(w8::groups(s)) * 2};
}

// A value that is not finite makes its whole group NaN: it shows in the logits, not in strange text.
void quantize_group(const GroupSearch& search, const GroupRows& in, const float* scales, int64_t first,
                    int64_t first_row, WeightRows* out) {
  const int64_t groups = out->groups(), cols = out->cols;
  for (int64_t r = 0; r < in.rows; ++r) {
    const auto at = static_cast<size_t>((first_row + r) * groups + first / out->grid.group);
    const float scale = scales[r];
    out->scale[at] = scale;
    out->minimum[at] = scale * -128;
    uint8_t* codes = &out->codes[static_cast<size_t>((first_row + r) * cols + first)];
    if (std::isnan(scale)) {
      std::fill_n(codes, in.size, uint8_t{128});
      continue;
    }
    search.round(in.values + r * in.stride, in.size, scale, 0, codes);
  }
}

void quantize(const PackedShape& shape, int64_t count, const float* values, WeightRows* out) {
  out->resize(count, shape.cols, {8, shape.group, Offset::kSymmetric});
  const GroupSearch& search = w8::kSearches.best();
  std::vector<float> tile(static_cast<size_t>(std::min<int64_t>(shape.group, shape.cols) * search.rows));
  float scales[kMaxSearchRows];
  for (int64_t r = 0; r < count; r += search.rows) {
    for (int64_t first = 0; first < shape.cols; first += shape.group) {
      const GroupRows in{values + r * shape.cols + first, shape.cols, std::min(search.rows, count - r),
                         std::min<int64_t>(shape.group, shape.cols - first)};
      search.find(in, tile.data(), scales, nullptr);
      quantize_group(search, in, scales, first, r, out);
    }
  }
}

bool holds(const PackedShape& s, const WeightRows& in) {
  if (!in.input_order.empty() || in.grid != AffineGrid{8, s.group, Offset::kSymmetric}) return false;
  for (size_t g = 0; g < in.scale.size(); ++g) {
    if (f32_from_f16(f16_from_f32(in.scale[g])) != in.scale[g] || in.minimum[g] != in.scale[g] * -128) return false;
  }
  return true;
}

void pack_rows(const PackedMatrix& packed, int64_t first_row, const WeightRows& in) {
  const int64_t groups = in.groups();
  for (int64_t r = 0; r < in.rows; ++r) {
    for (int64_t g = 0; g < groups; ++g) {
      scale(packed, first_row + r, g) = f16_from_f32(in.scale[static_cast<size_t>(r * groups + g)]);
    }
    int8_t* row = codes_of_row(packed, first_row + r);
    const uint8_t* codes = &in.codes[static_cast<size_t>(r * in.cols)];
    int64_t c = 0;
    for (; c + w8::kWordInputs <= in.cols; c += w8::kWordInputs) {
      uint32_t word;
      std::memcpy(&word, codes + c, sizeof word);
      word ^= 0x80808080u;  // 128 less, byte by byte
      std::memcpy(&code(row, c), &word, sizeof word);
    }
    for (; c < in.cols; ++c) code(row, c) = static_cast<int8_t>(codes[c] - 128);
  }
}

void unpack_rows(const PackedMatrix& packed, int64_t first, int64_t count, float* out) {
  int64_t cols = packed.shape.cols, group = packed.shape.group;
  for (int64_t r = 0; r < count; ++r) {
    int8_t* row = codes_of_row(packed, first + r);
    for (int64_t c = 0; c < cols; ++c) {
      out[r * cols + c] = static_cast<float>(code(row, c)) * f32_from_f16(scale(packed, first + r, c / group));
    }
  }
}

void unpack_codes(const PackedMatrix& packed, int64_t first, int64_t count, WeightRows* out) {
  const PackedShape& s = packed.shape;
  const int64_t groups = w8::groups(s);
  out->resize(count, s.cols, {8, s.group, s.offset});
  for (int64_t r = 0; r < count; ++r) {
    int8_t* row = codes_of_row(packed, first + r);
    for (int64_t c = 0; c < s.cols; ++c) {
      out->codes[static_cast<size_t>(r * s.cols + c)] = static_cast<uint8_t>(code(row, c) + 128);
    }
    for (int64_t g = 0; g < groups; ++g) {
      const auto at = static_cast<size_t>(r * groups + g);
      out->scale[at] = f32_from_f16(scale(packed, first + r, g));
      out->minimum[at] = out->scale[at] * -128;
    }
  }
}

constexpr CpuLinear kCpu{{&w8::kAvx512Vnni, &w8::kAvx2, &w8::kEmulated}};

}  // namespace

const WeightFormat kW8{
    .name = "w8",
    .code_bits = 8,
    .scale_name = "f16 scale per group",
    .plan = plan,
    .plan_import = plan_import,
    .quantize = quantize,
    .holds = holds,
    .bytes = bytes,
    .pack_rows = pack_rows,
    .unpack_rows = unpack_rows,
    .unpack_codes = unpack_codes,
    .cpu = &kCpu,
    .packing = 1,
};

}  // namespace halftone
