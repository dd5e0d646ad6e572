// The narrow waist between file formats and weight formats: w = scale * q + minimum, group by group along the inputs.
// Q4_0, Q4_1, Q8_0, GPTQ, AWQ and compressed-tensors are all this. Every reader makes it, every weight format may take
// it.
#pragma once

#include <cstdint>
#include <span>
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

// Some consecutive rows of one matrix. A view; the reader's buffer owns the memory.
struct AffineGroups {
  int64_t rows = 0, cols = 0;  // the last group of a row may be shorter
  AffineGrid grid;
  std::span<const uint8_t> codes;        // [rows][cols], one unsigned code a byte: Q8_0's -3 is 125
  std::span<const float> scale;          // [rows][ceil(cols / group)]
  std::span<const float> minimum;        // [rows][cols / group]
  std::span<const int32_t> input_order;  // column j holds input input_order[j]; empty: in order
};

struct AffineGroupsBuffer {
  std::vector<uint8_t> codes;
  std::vector<float> scale, minimum;
  AffineGroups view;  // into the vectors above
};

}  // namespace halftone
