// How the CPU multiplies with a packed matrix: a weight format brings small kernels for each instruction set, the
// device does the rest (norms, rounding of activations, splitting, epilogues). Blocks are kRowBlock = 16 outputs; x and
// out are float32.
#pragma once

#include <cstdint>

#include "kernels/contract/weight_format.h"
#include "kernels/cpu/quantized_rows.h"

namespace halftone {

enum class CpuIsa : uint8_t { kAvx512Vnni, kAvx2, kEmulated };  // best first
constexpr int kCpuIsas = 3;
const char* cpu_isa_name(CpuIsa isa);

// Up to this many tokens are multiplied straight from the packed codes; for more, unpacking a panel first pays.
constexpr int64_t kDirectTokens = 6;
// Tokens that one call of an integer kernel multiplies at most; those kernels never unpack.
constexpr int64_t kA8Tokens = 4;

// Prefetch distance in bytes. Two blocks, which lie one after the other, are processed together, so the same offset is
// fetched two blocks ahead; in blocks too large for that, 1 KiB ahead in the same block.
constexpr int64_t fetch_ahead(int64_t block_bytes) { return 2 * block_bytes <= 32768 ? 2 * block_bytes : 1024; }

struct CpuLinearKernels {
  // out[t * out_stride + r] for the 16 * blocks outputs of blocks [first_block, first_block + blocks), tokens <=
  // kDirectTokens.
  void (*direct)(const PackedMatrix& weights, int64_t first_block, int64_t blocks, const float* x, int64_t x_stride,
                 int64_t tokens, float* out, int64_t out_stride) = nullptr;
  // panel[c * 16 + r]: one block's values, input after input.
  void (*unpack_panel)(const PackedMatrix& weights, int64_t block, float* panel) = nullptr;
  // As direct, of the first `tokens` <= kA8Tokens rows of x, in segments of a8_segment(). Null: the format has no
  // codes.
  void (*direct_a8)(const PackedMatrix& weights, int64_t first_block, int64_t blocks, const QuantizedRows& x,
                    int64_t tokens, float* out, int64_t out_stride) = nullptr;
};

struct CpuLinear {
  const CpuLinearKernels* kernels[kCpuIsas];  // by CpuIsa
};

}  // namespace halftone
