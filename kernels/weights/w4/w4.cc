#include "kernels/weights/w4/w4.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

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
  // All codes of a word; c: its first input.
  void set_word(int64_t c, const uint8_t* codes) const {
    static_assert(std::endian::native == std::endian::little && w4::nibble_shift(3) == 24 && w4::nibble_shift(4) == 4);
    uint32_t halves[2];
    std::memcpy(halves, codes, sizeof halves);
    words_[c / w4::kWordInputs * kRowBlock] = halves[0] | halves[1] << 4;
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

// A value that is not finite makes its whole group NaN: it shows in the logits, not in strange text.
void quantize_group(const GroupSearch& search, const GroupRows& in, const float* scales, const float* minimums,
                    int64_t first, int64_t first_row, WeightRows* out) {
  const int64_t groups = out->groups(), cols = out->cols;
  for (int64_t r = 0; r < in.rows; ++r) {
    const auto at = static_cast<size_t>((first_row + r) * groups + first / out->grid.group);
    const float scale = scales[r], minimum = minimums[r];
    out->scale[at] = scale;
    out->minimum[at] = minimum;
    if (std::isnan(scale)) continue;
    search.round(in.values + r * in.stride, in.size, scale, minimum,
                 &out->codes[static_cast<size_t>((first_row + r) * cols + first)]);
  }
}

void quantize(const PackedShape& shape, int64_t count, const float* values, WeightRows* out) {
  out->resize(count, shape.cols, {4, shape.group, Offset::kMinimum});
  const GroupSearch& search = w4::kSearches.best();
  std::vector<float> tile(static_cast<size_t>(std::min<int64_t>(shape.group, shape.cols) * search.rows));
  float scales[kMaxSearchRows], minimums[kMaxSearchRows];
  for (int64_t r = 0; r < count; r += search.rows) {
    for (int64_t first = 0; first < shape.cols; first += shape.group) {
      const GroupRows in{values + r * shape.cols + first, shape.cols, std::min(search.rows, count - r),
                         std::min<int64_t>(shape.group, shape.cols - first)};
      search.find(in, tile.data(), scales, minimums);
      quantize_group(search, in, scales, minimums, first, r, out);
    }
  }
}

// The zero point of a group; any float where there is none.
float zero_of(float scale, float minimum) { return scale != 0 ? std::nearbyint(-minimum / scale) : 0; }

bool holds_group(Offset offset, float scale, float minimum) {
  if (f32_from_f16(f16_from_f32(scale)) != scale) return false;
  if (offset == Offset::kMinimum) return f32_from_f16(f16_from_f32(minimum)) == minimum;
  if (offset == Offset::kSymmetric) return scale * -8 == minimum;
  const float zero = zero_of(scale, minimum);
  return zero >= 0 && zero <= 255 && scale * -zero == minimum;
}

bool holds(const PackedShape& s, const WeightRows& in) {
  if (!in.input_order.empty() || in.grid != AffineGrid{4, s.group, s.offset}) return false;
  for (size_t g = 0; g < in.scale.size(); ++g) {
    if (!holds_group(s.offset, in.scale[g], in.minimum[g])) return false;
  }
  return std::ranges::all_of(in.codes, [](uint8_t code) { return code <= 15; });
}

void pack_rows(const PackedMatrix& packed, int64_t first_row, const WeightRows& in) {
  const Offset offset = packed.shape.offset;
  const int64_t groups = in.groups();
  for (int64_t r = 0; r < in.rows; ++r) {
    const Row row(packed, first_row + r);
    for (int64_t g = 0; g < groups; ++g) {
      const float scale = in.scale[static_cast<size_t>(r * groups + g)];
      const float minimum = in.minimum[static_cast<size_t>(r * groups + g)];
      row.scale(g) = f16_from_f32(scale);
      if (offset == Offset::kMinimum) row.minimum_bits(g) = f16_from_f32(minimum);
      if (offset == Offset::kZeroPoint) row.zero(g) = static_cast<uint8_t>(zero_of(scale, minimum));
    }
    const uint8_t* codes = &in.codes[static_cast<size_t>(r * in.cols)];
    int64_t c = 0;
    for (; c + w4::kWordInputs <= in.cols; c += w4::kWordInputs) row.set_word(c, codes + c);
    for (; c < in.cols; ++c) row.set_code(c, codes[c]);
  }
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

void unpack_codes(const PackedMatrix& packed, int64_t first, int64_t count, WeightRows* out) {
  const PackedShape& s = packed.shape;
  out->resize(count, s.cols, {4, s.group, s.offset});
  for (int64_t r = 0; r < count; ++r) {
    const Row row(packed, first + r);
    for (int64_t c = 0; c < s.cols; ++c) {
      out->codes[static_cast<size_t>(r * s.cols + c)] = static_cast<uint8_t>(row.code(c));
    }
    for (int64_t g = 0; g < w4::groups(s); ++g) {
      const auto at = static_cast<size_t>(r * w4::groups(s) + g);
      out->scale[at] = f32_from_f16(row.scale(g));
      out->minimum[at] = row.minimum(g);
    }
  }
}

constexpr CpuLinear kCpu{{&w4::kAvx512Vnni, &w4::kAvx2, &w4::kEmulated}};

}  // namespace

const WeightFormat kW4{
    .name = "w4",
    .code_bits = 4,
    .scale_name = "f16 scale and minimum per group",
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
