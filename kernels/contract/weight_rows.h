// Some neighbouring rows of a weight matrix as numbers, of no device: what a weight format's quantize() makes, what
// readers of quantized checkpoints make, and what every device packs in the layout of its own kernels. So N readers, M
// formats and D devices are N + M + D pieces of code. Values: whoever holds one owns its memory.
//
// Either w = scale * code + minimum, group by group along the inputs (Q4_0, Q4_1, Q8_0, GPTQ, AWQ and
// compressed-tensors are all this), or plain numbers, which have no codes.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace halftone {

// The shape of a grid, known before any row is read.
struct AffineGrid {
  enum class Offset {
    kSymmetric,  // codes are signed around 2^(bits-1): minimum = -2^(bits-1) * scale exactly
    kMinimum,    // a free minimum per group, an f16
    kZeroPoint,  // minimum = -scale * zero, zero an integer in [0, 2^bits)
  };
  int bits = 0;   // 4 or 8
  int group = 0;  // inputs that share a scale
  Offset offset = Offset::kSymmetric;

  friend bool operator==(const AffineGrid&, const AffineGrid&) = default;
};

struct WeightRows {
  int64_t rows = 0, cols = 0;        // the last group of a row may be shorter
  AffineGrid grid;                   // no bits: plain numbers
  std::vector<uint8_t> codes;        // [rows][cols], one unsigned code a byte: Q8_0's -3 is 125
  std::vector<float> scale;          // [rows][groups]; one that is not finite makes its group so
  std::vector<float> minimum;        // [rows][groups]
  std::vector<int32_t> input_order;  // column j holds input input_order[j]; empty: in order
  std::vector<float> values;         // [rows][cols] plain numbers, already rounded to what the format can hold

  int64_t groups() const { return grid.group > 0 ? (cols + grid.group - 1) / grid.group : 0; }
  // Room for so many rows on a grid; what was held is gone.
  void resize(int64_t row_count, int64_t col_count, const AffineGrid& on) {
    rows = row_count, cols = col_count, grid = on;
    const auto numbers = static_cast<size_t>(rows * groups());
    codes.assign(static_cast<size_t>(rows * cols), 0);
    scale.assign(numbers, 0.0f);
    minimum.assign(numbers, 0.0f);
    input_order.clear();
    values.clear();
  }
  // Plain numbers, rounded by `round`.
  template <typename Round>
  void set_values(int64_t row_count, int64_t col_count, const float* from, Round round) {
    *this = WeightRows();
    rows = row_count, cols = col_count;
    values.resize(static_cast<size_t>(rows * cols));
    std::transform(from, from + rows * cols, values.begin(), round);
  }
};

}  // namespace halftone
