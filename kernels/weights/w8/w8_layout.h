// w8: symmetric 8-bit codes. w = scale * q, q in -128..127, group by group along the inputs.
//
//   int8_t codes[rows / 16][ceil(cols / 4)][16][4]   four neighbouring inputs of one output are one 32-bit word
//   uint16_t scale[rows / 16][groups][16]            f16
// Rows beyond the matrix have scale 0.
#pragma once

#include "kernels/contract/weight_format.h"

namespace halftone::w8 {

constexpr int kWordInputs = 4;
constexpr int kGroupUnit = 16;  // groups are whole multiples of this, or a whole row

inline int64_t words(const PackedShape& s) { return (s.cols + kWordInputs - 1) / kWordInputs; }
inline int64_t groups(const PackedShape& s) { return (s.cols + s.group - 1) / s.group; }
inline int64_t blocks(const PackedShape& s) { return (s.rows + kRowBlock - 1) / kRowBlock; }

}  // namespace halftone::w8
