// A weight format: how one matrix is stored and multiplied. One folder under kernels/weights each; weights.cc is the
// list.
//
// Every format decodes to float32 values, and a product with a16 activations is defined on those values:
//   y[t][r] = fma over c = 0, 1, ... of unpack(r, c) * x[t][c], starting at +0.
// So formats differ in what the values are, never in how they are added up (docs/NUMERICS.md, with a8 too).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "kernels/contract/affine_groups.h"

namespace halftone {

struct WeightFormat;

// Rows are padded to whole blocks of this many outputs in every packed layout; packers get at most 64 rows at a time.
constexpr int64_t kRowBlock = 16;
constexpr int64_t kPackRows = 64;

// How a format lays out one matrix: chosen once for each tensor, then fixed.
struct PackedShape {
  int64_t rows = 0;  // outputs
  int64_t cols = 0;  // inputs
  int group = 0;     // inputs that share a scale; 0 where a format has none. The last group of a row may be shorter.
  AffineGrid::Offset offset = AffineGrid::Offset::kSymmetric;  // w4: how the minimum is stored
};

struct PackedBytes {
  size_t codes = 0;
  size_t scales = 0;  // and minimums
  size_t total() const { return codes + scales; }
};

// A matrix in a format's own layout, resident on one device. Owns nothing.
struct PackedMatrix {
  const WeightFormat* format = nullptr;
  PackedShape shape;
  std::byte* codes = nullptr;   // 32-byte aligned, bytes(shape).codes long
  std::byte* scales = nullptr;  // 16-byte aligned, bytes(shape).scales long; null where the format has none
};

// The CPU's way to multiply, in its own terms (kernels/cpu/linear.h); null: not on this device.
struct CpuLinear;

struct WeightFormat {
  std::string_view name;        // "w4"
  int code_bits;                // of the integer codes that a8 products are made of; 0: floats only
  std::string_view scale_name;  // how scales are stored, for reports: "f16 per 32"; empty: none

  // The layout for a tensor that has no grid of its own, in groups of so many inputs; 0: the format's own choice.
  // Nothing: this format cannot hold such a matrix.
  std::optional<PackedShape> (*plan)(int64_t rows, int64_t cols, int group);
  // The layout that takes codes of this grid over exactly. Nothing: they must be requantized.
  std::optional<PackedShape> (*plan_import)(int64_t rows, int64_t cols, const AffineGrid& grid);
  // Codes take a multiple of 32 bytes, scales one of 16.
  PackedBytes (*bytes)(const PackedShape& shape);

  // first_row is a multiple of 64, values hold at most 64 rows. `packed` starts zeroed. Any thread, disjoint rows at
  // once.
  void (*pack_rows)(const PackedMatrix& packed, int64_t first_row, int64_t count, const float* values);
  // Exactly, or false (a value that does not fit the layout); then nothing may be assumed about these rows.
  bool (*import_rows)(const PackedMatrix& packed, int64_t first_row, const AffineGroups& groups);
  // What the kernels see, as float32: the truth for tests and the embedding look-up. out: [count, cols].
  void (*unpack_rows)(const PackedMatrix& packed, int64_t first, int64_t count, float* out);

  // Codes, scales and minimums as they are stored, with import_rows' meaning. Null: the format has none, and products
  // with a8 activations are those with a16.
  void (*export_rows)(const PackedMatrix& packed, int64_t first, int64_t count, AffineGroupsBuffer* out) = nullptr;

  const CpuLinear* cpu = nullptr;

  // Counts up when pack_rows makes other codes or the layout changes: packed matrices may be kept from one start to the
  // next. 0: packing is as fast as reading, so nobody keeps them.
  int packing = 0;
};

}  // namespace halftone
