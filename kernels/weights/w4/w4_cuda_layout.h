// w4 in the order in which tensor cores take it. Per block of 64 rows:
//   uint32_t codes[4 warps][tiles][32 lanes][4 steps]   a warp's 16 rows; a tile is 64 inputs, a step 16
//   uint16_t scale[groups][64 rows]                     f16
//   uint16_t offset[groups][64 rows]                    not for symmetric grids: the minimum, or the zero point, as f16
// A lane's word of a step holds its eight codes of the 16 x 16 operand of mma.m16n8k16 (PTX ISA, "Matrix fragments for
// mma.m16n8k16"): nibbles r and r + 4 are the low and high half of register r.
//
// A segment is what is added up before a scale is applied: 64, 32 or 16 inputs of one group.
#pragma once

#include <cstdint>

#include "kernels/contract/weight_format.h"

namespace halftone::w4 {

constexpr int kWarpRows = 16, kLanes = 32, kStepInputs = 16, kTileSteps = 4;

struct FragmentPlace {
  int lane, step, shift;  // in a tile: the lane, the word of it and the first bit of the nibble
};

// Where row r of a warp's 16 and input c of a tile's 64 stand.
constexpr FragmentPlace fragment_place(int r, int c) {
  const int k = c % kStepInputs, pair = k % 8;
  const int lane = r % 8 * 4 + pair / 2;
  const int reg = r / 8 + k / 8 * 2;
  return {lane, c / kStepInputs, reg * 4 + pair % 2 * 16};
}

constexpr int segment_inputs(const PackedShape& s) {
  if (s.group >= s.cols) return 64;  // one group: any cut will do
  return s.group % 64 == 0 ? 64 : s.group % 32 == 0 ? 32 : 16;
}

}  // namespace halftone::w4
