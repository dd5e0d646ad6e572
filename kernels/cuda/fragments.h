// Weights in the order in which tensor cores take them. Per block of 64 rows, four m-tiles of 16:
//   uint32_t codes[4 m-tiles][k-tiles][bits / 4 loads][32 lanes][4]   a k-tile is 64 inputs, four k-steps of 16
//   uint16_t scales[4 m-tiles][groups][8][2]                          f16: rows r and r + 8 of the m-tile, or
//   uint16_t scales[4 m-tiles][groups][8][4]                          also their offsets: minimums or zero points
// so that a warp reads a k-tile by bits / 4 loads of 16 bytes per lane. A code of 4, 8 or 16 bits belongs to one of the
// four registers of a lane's A operand of mma.m16n8k16 (PTX ISA, "Matrix fragments for mma.m16n8k16"): a word holds 4,
// 2 or 1 registers of a k-step, its low half the first number of each. The k-step's inputs are dealt to the operand's
// columns so that a lane's four of the B operand lie side by side: lane l has inputs 4 t to 4 t + 3 (t = l % 4).
//
// A segment is what is added up before a scale is applied: 64, 32 or 16 inputs of one group.
#pragma once

#include <cstdint>

#include "kernels/contract/weight_format.h"

namespace halftone::fragments {

constexpr int kMTileRows = 16, kLanes = 32, kStepInputs = 16, kTileSteps = 4;
constexpr int kLaneInputs = 4;  // of a k-step
constexpr int kLoadWords = 4;   // of 16 bytes

constexpr int tile_loads(int bits) { return bits / 4; }
constexpr int step_words(int bits) { return bits / 4; }  // of a lane
constexpr int word_registers(int bits) { return 16 / bits; }

// Where a code stands in its m-tile: the word, counted from the m-tile's first, and its lowest bit there.
struct BitAddress {
  int64_t word;
  int shift;
};

// Of row r (0..15) of an m-tile and input c.
constexpr BitAddress bit_address(int bits, int r, int64_t c) {
  const int k = static_cast<int>(c % kStepInputs), of_lane = k % kLaneInputs;
  const int lane = r % 8 * 4 + k / kLaneInputs;
  const int reg = r / 8 + of_lane / 2 * 2, in_word = reg % word_registers(bits);
  const int word = static_cast<int>(c / kStepInputs % kTileSteps) * step_words(bits) + reg / word_registers(bits);
  const int64_t load = c / (kStepInputs * kTileSteps) * tile_loads(bits) + word / kLoadWords;
  return {(load * kLanes + lane) * kLoadWords + word % kLoadWords, in_word * bits + of_lane % 2 * 16};
}

// 16-bit numbers that a row's scale takes, and the index of row r's first among those of an m-tile and group.
constexpr int scale_numbers(AffineGrid::Offset offset) { return offset == AffineGrid::Offset::kSymmetric ? 2 : 4; }
constexpr int scale_index(int r, AffineGrid::Offset offset) { return r % 8 * scale_numbers(offset) + r / 8; }

// Groups whose scales an m-tile keeps: those of the padding, too.
constexpr int stored_groups(int tiles, int group) { return (tiles * kTileSteps * kStepInputs + group - 1) / group; }

constexpr int segment_inputs(int64_t cols, int group) {
  if (group >= cols || group % 64 == 0) return 64;  // where one group is all, any cut will do
  return group == 32 ? 32 : 16;
}

}  // namespace halftone::fragments
