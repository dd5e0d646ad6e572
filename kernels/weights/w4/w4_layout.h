// w4: affine 4-bit codes. w = scale * q + minimum, q in 0..15, group by group along the inputs.
//
//   uint32_t codes[rows / 16][ceil(cols / 8)][16]    one word: 8 inputs of one output; byte i holds input i in its low
//   half
//                                                    and input i + 4 in its high half
//   uint16_t scale[rows / 16][groups][16]            f16
//   then, by the shape's offset:
//     kSymmetric   nothing: minimum = -8 * scale
//     kMinimum     uint16_t minimum[rows / 16][groups][16]    f16
//     kZeroPoint   uint8_t zero[rows / 16][groups][16]        minimum = -zero * scale
// Rows beyond the matrix have scale 0. 64 bytes of codes are one load for each word of 16 outputs; four neighbouring
// inputs of an output lie in one word's bytes, as integer dot products want them.
#pragma once

#include "kernels/contract/weight_format.h"

namespace halftone::w4 {

constexpr int kWordInputs = 8;
constexpr int kGroupUnit = 16;  // groups are whole multiples of this

inline int64_t words(const PackedShape& s) { return (s.cols + kWordInputs - 1) / kWordInputs; }
inline int64_t groups(const PackedShape& s) { return (s.cols + s.group - 1) / s.group; }
inline int64_t blocks(const PackedShape& s) { return (s.rows + kRowBlock - 1) / kRowBlock; }
// Where the nibble of input i stands in its word.
constexpr int nibble_shift(int input) { return (input % 4) * 8 + (input / 4) * 4; }

struct Scales {
  const uint16_t* scale;    // [groups][16] of one block
  const uint16_t* minimum;  // kMinimum only
  const uint8_t* zero;      // kZeroPoint only
};

inline Scales scales_of(const PackedMatrix& m, int64_t block) {
  int64_t per_block = groups(m.shape) * kRowBlock;
  const uint16_t* scale = reinterpret_cast<const uint16_t*>(m.scales);
  const uint16_t* minimum = scale + blocks(m.shape) * per_block;
  return {scale + block * per_block, minimum + block * per_block,
          reinterpret_cast<const uint8_t*>(minimum) + block * per_block};
}

}  // namespace halftone::w4
