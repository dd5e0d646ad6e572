#include "kernels/weights/w8/w8.h"

#include <algorithm>
#include <cmath>

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
void pack_block(const PackedMatrix& packed, int64_t first_row, const GroupRows& block, GroupTile* tile) {
  int64_t cols = packed.shape.cols, group = packed.shape.group;
  uint16_t scales[kSearchRows];
  for (int64_t first = 0; first < cols; first += group) {
    GroupRows in = block;
    in.values += first;
    in.size = std::min(group, cols - first);
    w8::find_scales(in, tile, scales);
    for (int64_t r = 0; r < block.rows; ++r) {
      scale(packed, first_row + r, first / group) = scales[r];
      float step = f32_from_f16(scales[r]), inverse = inverse_of(step);
      if (std::isnan(step)) continue;
      int8_t* row = codes_of_row(packed, first_row + r);
      for (int64_t c = 0; c < in.size; ++c) {
        code(row, first + c) = static_cast<int8_t>(w8::code_of(in.values[r * in.stride + c], inverse));
      }
    }
  }
}

void pack_rows(const PackedMatrix& packed, int64_t first_row, int64_t count, const float* values) {
  int64_t cols = packed.shape.cols;
  GroupTile tile;
  for (int64_t r = 0; r < count; r += kSearchRows) {
    pack_block(packed, first_row + r, {values + r * cols, cols, std::min<int64_t>(kSearchRows, count - r), 0}, &tile);
  }
}

bool import_rows(const PackedMatrix& packed, int64_t first_row, const AffineGroups& in) {
  const PackedShape& s = packed.shape;
  if (!in.input_order.empty() || in.grid.group != s.group || in.grid.offset != Offset::kSymmetric) return false;
  int64_t groups = w8::groups(s);
  for (int64_t r = 0; r < in.rows; ++r) {
    for (int64_t g = 0; g < groups; ++g) {
      float value = in.scale[static_cast<size_t>(r * groups + g)];
      uint16_t& bits = scale(packed, first_row + r, g);
      bits = f16_from_f32(value);
      if (f32_from_f16(bits) != value || in.minimum[static_cast<size_t>(r * groups + g)] != value * -128) return false;
    }
    int8_t* row = codes_of_row(packed, first_row + r);
    for (int64_t c = 0; c < s.cols; ++c) {
      code(row, c) = static_cast<int8_t>(in.codes[static_cast<size_t>(r * s.cols + c)] - 128);
    }
  }
  return true;
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

void export_rows(const PackedMatrix& packed, int64_t first, int64_t count, AffineGroupsBuffer* out) {
  const PackedShape& s = packed.shape;
  int64_t groups = w8::groups(s);
  out->codes.clear(), out->scale.clear(), out->minimum.clear();
  for (int64_t r = first; r < first + count; ++r) {
    int8_t* row = codes_of_row(packed, r);
    for (int64_t c = 0; c < s.cols; ++c) out->codes.push_back(static_cast<uint8_t>(code(row, c) + 128));
    for (int64_t g = 0; g < groups; ++g) {
      out->scale.push_back(f32_from_f16(scale(packed, r, g)));
      out->minimum.push_back(out->scale.back() * -128);
    }
  }
  out->view = {count, s.cols, {8, s.group, s.offset}, out->codes, out->scale, out->minimum, {}};
}

constexpr CpuLinear kCpu{{&w8::kAvx512Vnni, &w8::kAvx2, &w8::kEmulated}};

}  // namespace

const WeightFormat kW8{
    .name = "w8",
    .code_bits = 8,
    .scale_name = "f16 scale per group",
    .plan = plan,
    .plan_import = plan_import,
    .bytes = bytes,
    .pack_rows = pack_rows,
    .import_rows = import_rows,
    .unpack_rows = unpack_rows,
    .export_rows = export_rows,
    .cpu = &kCpu,
    .packing = 1,
};

}  // namespace halftone
