#include "kernels/weights/w4/w4.h"

#include <algorithm>
#include <cmath>

#include "kernels/contract/numbers.h"
#include "kernels/weights/w4/w4_kernels.h"
#include "kernels/weights/w4/w4_layout.h"
#include "kernels/weights/w4/w4_search.h"

namespace halftone {
namespace {

using Offset = AffineGrid::Offset;

// Where one row's codes and scales stand.
class Row {
 public:
  Row(const PackedMatrix& m, int64_t row) : lane_(row % kRowBlock), offset_(m.shape.offset) {
    const PackedShape& s = m.shape;
    int64_t block = row / kRowBlock, per_block = w4::groups(s) * kRowBlock, all = w4::blocks(s) * per_block;
    words_ = reinterpret_cast<uint32_t*>(m.codes) + block * w4::words(s) * kRowBlock + lane_;
    scale_ = reinterpret_cast<uint16_t*>(m.scales) + block * per_block + lane_;
    minimum_ = scale_ + all;
    zero_ = reinterpret_cast<uint8_t*>(reinterpret_cast<uint16_t*>(m.scales) + all) + block * per_block + lane_;
  }

  void set_code(int64_t c, uint32_t q) const {
    uint32_t& word = words_[c / w4::kWordInputs * kRowBlock];
    int shift = w4::nibble_shift(static_cast<int>(c % w4::kWordInputs));
    word = (word & ~(15u << shift)) | q << shift;
  }
  uint32_t code(int64_t c) const {
    return words_[c / w4::kWordInputs * kRowBlock] >> w4::nibble_shift(static_cast<int>(c % w4::kWordInputs)) & 15u;
  }
  uint16_t& scale(int64_t group) const { return scale_[group * kRowBlock]; }
  uint16_t& minimum_bits(int64_t group) const { return minimum_[group * kRowBlock]; }
  uint8_t& zero(int64_t group) const { return zero_[group * kRowBlock]; }
  float minimum(int64_t group) const {
    float s = f32_from_f16(scale(group));
    if (offset_ == Offset::kMinimum) return f32_from_f16(minimum_bits(group));
    return offset_ == Offset::kSymmetric ? s * -8 : s * -static_cast<float>(zero(group));
  }

 private:
  int64_t lane_;
  Offset offset_;
  uint32_t* words_;
  uint16_t* scale_;
  uint16_t* minimum_;
  uint8_t* zero_;
};

std::optional<PackedShape> plan(int64_t rows, int64_t cols, int group) {
  if (group == 0) {
    if (cols % 32 != 0) return std::nullopt;
    group = cols % 64 == 0 ? 64 : 32;
  }
  return PackedShape{rows, cols, group, Offset::kMinimum};
}

std::optional<PackedShape> plan_import(int64_t rows, int64_t cols, const AffineGrid& grid) {
  if (grid.bits != 4 || grid.group <= 0 || grid.group % w4::kGroupUnit != 0) return std::nullopt;
  return PackedShape{rows, cols, grid.group, grid.offset};
}

PackedBytes bytes(const PackedShape& s) {
  auto size = [](int64_t n) { return static_cast<size_t>(n); };
  size_t scales = size(w4::blocks(s) * w4::groups(s) * kRowBlock);
  size_t each = s.offset == Offset::kMinimum ? 4 : s.offset == Offset::kZeroPoint ? 3 : 2;
  return {size(w4::blocks(s) * w4::words(s) * kRowBlock) * 4, scales * each};
}

void set_codes(const Row& row, int64_t group, int64_t first, std::span<const float> values) {
  float scale = f32_from_f16(row.scale(group)), minimum = f32_from_f16(row.minimum_bits(group));
  if (std::isnan(scale)) return;
  float inverse = inverse_of(scale);
  for (size_t i = 0; i < values.size(); ++i) {
    float code = w4::code_of(values[i], minimum, inverse);
    row.set_code(first + static_cast<int64_t>(i), static_cast<uint32_t>(code));
  }
}

// A value that is not finite makes its whole group NaN: it shows in the logits, not in strange text.
void pack_block(const PackedMatrix& packed, int64_t first_row, const GroupRows& block, GroupTile* tile) {
  std::vector<Row> rows;
  for (int64_t r = 0; r < block.rows; ++r) rows.emplace_back(packed, first_row + r);
  int64_t cols = packed.shape.cols, group = packed.shape.group;
  w4::Grids grids;
  for (int64_t first = 0; first < cols; first += group) {
    GroupRows in = block;
    in.values += first;
    in.size = std::min(group, cols - first);
    w4::find_grids(in, tile, &grids);
    for (int64_t r = 0; r < block.rows; ++r) {
      const Row& row = rows[static_cast<size_t>(r)];
      row.scale(first / group) = grids.scale[r];
      row.minimum_bits(first / group) = grids.minimum[r];
      set_codes(row, first / group, first, {in.values + r * in.stride, static_cast<size_t>(in.size)});
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

bool import_group(const Row& row, int64_t group, Offset offset, float scale, float minimum) {
  row.scale(group) = f16_from_f32(scale);
  if (f32_from_f16(row.scale(group)) != scale) return false;
  if (offset == Offset::kMinimum) {
    row.minimum_bits(group) = f16_from_f32(minimum);
  } else if (offset == Offset::kZeroPoint) {
    float zero = scale != 0 ? std::nearbyint(-minimum / scale) : 0;
    if (!(zero >= 0 && zero <= 255)) return false;
    row.zero(group) = static_cast<uint8_t>(zero);
  }
  return row.minimum(group) == minimum;
}

bool import_rows(const PackedMatrix& packed, int64_t first_row, const AffineGroups& in) {
  const PackedShape& s = packed.shape;
  if (!in.input_order.empty() || in.grid.group != s.group || in.grid.offset != s.offset) return false;
  int64_t groups = w4::groups(s);
  for (int64_t r = 0; r < in.rows; ++r) {
    Row row(packed, first_row + r);
    for (int64_t g = 0; g < groups; ++g) {
      size_t at = static_cast<size_t>(r * groups + g);
      if (!import_group(row, g, s.offset, in.scale[at], in.minimum[at])) return false;
    }
    for (int64_t c = 0; c < s.cols; ++c) {
      uint8_t q = in.codes[static_cast<size_t>(r * s.cols + c)];
      if (q > 15) return false;
      row.set_code(c, q);
    }
  }
  return true;
}

void unpack_rows(const PackedMatrix& packed, int64_t first, int64_t count, float* out) {
  int64_t cols = packed.shape.cols, group = packed.shape.group;
  for (int64_t r = 0; r < count; ++r) {
    Row row(packed, first + r);
    for (int64_t c = 0; c < cols; ++c) {
      float scale = f32_from_f16(row.scale(c / group));
      out[r * cols + c] = std::fma(static_cast<float>(row.code(c)), scale, row.minimum(c / group));
    }
  }
}

void export_rows(const PackedMatrix& packed, int64_t first, int64_t count, AffineGroupsBuffer* out) {
  const PackedShape& s = packed.shape;
  out->codes.clear(), out->scale.clear(), out->minimum.clear();
  for (int64_t r = first; r < first + count; ++r) {
    Row row(packed, r);
    for (int64_t c = 0; c < s.cols; ++c) out->codes.push_back(static_cast<uint8_t>(row.code(c)));
    for (int64_t g = 0; g < w4::groups(s); ++g) {
      out->scale.push_back(f32_from_f16(row.scale(g)));
      out->minimum.push_back(row.minimum(g));
    }
  }
  out->view = {count, s.cols, {4, s.group, s.offset}, out->codes, out->scale, out->minimum, {}};
}

constexpr CpuLinear kCpu{{&w4::kAvx512Vnni, &w4::kAvx2, &w4::kEmulated}};

}  // namespace

const WeightFormat kW4{
    .name = "w4",
    .code_bits = 4,
    .scale_name = "f16 scale and minimum per group",
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
