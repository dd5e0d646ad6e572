// A weight format: how the numbers of one matrix are rounded, and the layout in which the host's memory holds them,
// which the CPU's kernels and the reference read. Other devices have layouts of their own: all pack WeightRows. One
// folder under kernels/weights each; weights.cc is the list.
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

#include "kernels/contract/weight_rows.h"

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

// A matrix in the layout of one device, resident there. Owns nothing.
struct PackedMatrix {
  const WeightFormat* format = nullptr;
  PackedShape shape;
  std::byte* codes = nullptr;   // 32-byte aligned, Device::weight_bytes().codes long
  std::byte* scales = nullptr;  // 16-byte aligned, Device::weight_bytes().scales long; null where the format has none
};

// The CPU's way to multiply, in its own terms (kernels/cpu/linear.h); null: not on this device.
struct CpuLinear;

struct WeightFormat {
  std::string_view name;        // "w4"
  int code_bits;                // of the integer codes that a8 products are made of; 0: floats only
  std::string_view scale_name;  // how scales are stored, for reports: "f16 per 32"; empty: none

  // Numbers.
  // The shape for a tensor that has no grid of its own, in groups of so many inputs; 0: the format's own choice.
  // Nothing: this format cannot hold such a matrix.
  std::optional<PackedShape> (*plan)(int64_t rows, int64_t cols, int group);
  // The shape that takes codes of this grid over exactly. Nothing: they must be requantized.
  std::optional<PackedShape> (*plan_import)(int64_t rows, int64_t cols, const AffineGrid& grid);
  // Rounds up to 64 rows of values, [count][shape.cols], as plan()'s shape says. Any thread.
  void (*quantize)(const PackedShape& shape, int64_t count, const float* values, WeightRows* out);
  // Whether a matrix of plan_import()'s shape holds these rows exactly: every scale, minimum and code, inputs in order.
  // Null where plan_import() takes nothing.
  bool (*holds)(const PackedShape& shape, const WeightRows& rows);

  // The layout in the host's memory.
  // Codes take a multiple of 32 bytes, scales one of 16.
  PackedBytes (*bytes)(const PackedShape& shape);
  // Rows that quantize() made for this shape, or that it holds(): rows first_row.. of the matrix. first_row is a
  // multiple of 64. `packed` starts zeroed. Any thread, disjoint rows at once.
  void (*pack_rows)(const PackedMatrix& packed, int64_t first_row, const WeightRows& rows);
  // What the kernels see, as float32: the truth for tests and the embedding look-up. out: [count, cols].
  void (*unpack_rows)(const PackedMatrix& packed, int64_t first, int64_t count, float* out);
  // Codes, scales and minimums of packed rows: pack_rows' inverse. Null: the format has none, and products with a8
  // activations are those with a16.
  void (*unpack_codes)(const PackedMatrix& packed, int64_t first, int64_t count, WeightRows* out) = nullptr;

  const CpuLinear* cpu = nullptr;

  // Counts up when quantize() makes other codes or the layout changes: packed matrices may be kept from one start to
  // the next. 0: packing is as fast as reading, so nobody keeps them.
  int packing = 0;
};

}  // namespace halftone
