// How the numbers of a checkpoint's tensor lie in its file: blocks along a row, and what they decode to.
// A table; any thread. Decoding is exactly what the formats define, in float32: scale * code (+ minimum).
//
//   Q4_0 { f16 d; u8 q[16] }                 32 values: (low nibbles, then high nibbles) - 8, times d
//   Q4_1 { f16 d, m; u8 q[16] }              32 values: nibble * d + m
//   Q5_0 { f16 d; u32 high; u8 q[16] }       32 values: 5 bits - 16, times d
//   Q5_1 { f16 d, m; u32 high; u8 q[16] }    32 values: 5 bits * d + m
//   Q8_0 { f16 d; i8 q[32] }                 32 values
//   Q4_K { f16 d, dmin; u8 s[12]; u8 q[128] }           256 values, eight groups with 6-bit scale and minimum
//   Q6_K { u8 low[128]; u8 high[64]; i8 s[16]; f16 d }  256 values, sixteen groups with 8-bit scale
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "kernels/contract/weight_rows.h"

namespace halftone {

struct TensorFormat {
  std::string_view name;  // as GGUF and safetensors spell it
  uint32_t gguf_type;
  int64_t block_values;
  int64_t block_bytes;
  void (*decode)(const uint8_t* in, int64_t blocks, float* out);
  // The codes themselves, where the values lie on an affine grid with one group a block; otherwise null and no grid.
  void (*decode_codes)(const uint8_t* in, int64_t blocks, uint8_t* codes, float* scale, float* minimum);
  std::optional<AffineGrid> grid;

  // Bytes of one row, or nothing if cols is no whole number of blocks. cols is at most 2^40.
  std::optional<int64_t> row_bytes(int64_t cols) const;
};

std::span<const TensorFormat> all_tensor_formats();
const TensorFormat* find_tensor_format(std::string_view name);
const TensorFormat* find_gguf_tensor_format(uint32_t type);

// The format's name even where we cannot read it, for messages: "Q5_K", or "type 77".
std::string gguf_type_name(uint32_t type);

// "F32, F16, BF16, Q4_0, ...": what can be read, for messages.
std::string known_tensor_formats();

}  // namespace halftone
