// w4 in the order in which tensor cores take it. Per block of 64 rows, four strips of 16:
//   uint32_t codes[4 strips][tiles][32 lanes][4 steps]     a tile is 64 inputs, a step 16
//   uint16_t scales[4 strips][groups][8][2]                f16: rows r and r + 8 of the strip, or
//   uint16_t scales[4 strips][groups][8][4]                also their offsets: minimums or zero points, as f16
// A lane's word of a step holds its eight codes of the 16 x 16 operand of mma.m16n8k16 (PTX ISA, "Matrix fragments for
// mma.m16n8k16"): nibbles r and r + 4 are the low and high half of register r. The step's inputs are dealt to the
// operand's columns so that a lane's four of the other operand lie side by side: lane l has inputs 4 t to 4 t + 3
// (t = l % 4) of the step.
//
// A segment is what is added up before a scale is applied: 64, 32 or 16 inputs of one group.
#pragma once

#include <cstdint>

#include "kernels/contract/weight_format.h"

namespace halftone::w4 {

constexpr int kStripRows = 16, kLanes = 32, kStepInputs = 16, kTileSteps = 4;
constexpr int kLaneInputs = 4;  // of a step

struct FragmentPlace {
  int lane, step, shift;  // in a tile: the lane, the word of it and the first bit of the nibble
};

// Where row r of a strip and input c of a tile stand.
constexpr FragmentPlace fragment_place(int r, int c) {
  const int k = c % kStepInputs, of_lane = k % kLaneInputs;
  const int lane = r % 8 * 4 + k / kLaneInputs;
  const int reg = r / 8 + of_lane / 2 * 2;
  return {lane, c / kStepInputs, reg * 4 + of_lane % 2 * 16};
}

// 16-bit numbers of a row's scale, and of a strip's scales in one group.
constexpr int scale_numbers(AffineGrid::Offset offset) { return offset == AffineGrid::Offset::kSymmetric ? 2 : 4; }
constexpr int scale_place(int r, AffineGrid::Offset offset) { return r % 8 * scale_numbers(offset) + r / 8; }

// Groups whose scales a strip keeps: those of the padding, too.
constexpr int stored_groups(int tiles, int group) { return (tiles * kTileSteps * kStepInputs + group - 1) / group; }

constexpr int segment_inputs(const PackedShape& s) {
  if (s.group >= s.cols || s.group % 64 == 0) return 64;  // where one group is all, any cut will do
  return s.group == 32 ? 32 : 16;
}

}  // namespace halftone::w4
