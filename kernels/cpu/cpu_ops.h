// The loops of the CPU device that have a body for each instruction set. Plain functions without threads: the device
// splits the work and passes scratch. All are *ordered* (docs/NUMERICS.md): every body gives the same bits.
#pragma once

#include <cstdint>

#include "kernels/contract/device.h"
#include "kernels/cpu/linear.h"

namespace halftone {

// Attention cuts positions at multiples of this many and merges the pieces in order.
constexpr int64_t kSplitPositions = 256;

// Rows of queries that attend together: neighbouring tokens of one sequence times the query heads of one KV head.
struct AttentionTile {
  const AttentionCall* call = nullptr;
  const KvLayer* layer = nullptr;  // the call's
  const AttentionSequence* sequence = nullptr;
  int64_t kv_head = 0;
  int64_t first = 0;  // token of the sequence's new ones
  int64_t tokens = 0;
};

// One row's share of a split, or of several merged ones: weights are relative to exp(maximum).
struct AttentionPartial {
  float maximum = 0;
  float sum = 0;
  bool empty = true;
};

struct CpuOps {
  // y = x / rms(x) * weight, n values.
  void (*rms_norm)(const float* x, const float* weight, float epsilon, int64_t n, float* y);
  // y = y + x / rms(x) * weight, n values.
  void (*add_rms_norm)(const float* x, const float* weight, float epsilon, int64_t n, float* y);
  // out[t][16] = panel [cols][16] times tokens <= kDirectTokens rows of x.
  void (*multiply_panel)(const float* panel, int64_t cols, const float* x, int64_t x_stride, int64_t tokens, float* out,
                         int64_t out_stride);
  // One row as int8: codes[0, n), and for each segment its scale and the sum of its codes; one scale for the whole row
  // where asked.
  void (*quantize)(const float* x, int64_t n, int64_t segment, bool one_scale, int8_t* codes, float* scale,
                   int32_t* sum);
  // y = activation(gates) * y, n values.
  void (*gate)(GateKind kind, const float* gates, int64_t n, float* y);
  // y = limit * tanh(y / limit), n values.
  void (*cap)(float limit, int64_t n, float* y);
  // One token: QK norm where there is one, then RoPE on all heads of x, each of head_dim values.
  void (*rope)(const RopeStoreCall& call, const float* norm, int64_t heads, int64_t head_dim, int64_t position,
               float* x);
  // The tile's rows against positions [split * 256, split * 256 + 256): partials[row], values[row][padded head_dim].
  // Row = token * heads per KV head + head. scratch: 256 floats for each row, then a head of a
  // page and 16 more.
  void (*attend_split)(const AttentionTile& tile, int64_t split, AttentionPartial* partials, float* values,
                       float* scratch);
  // into = into merged with the next split's.
  void (*merge)(AttentionPartial* into, float* into_values, const AttentionPartial& next, const float* next_values,
                int64_t head_dim);
  float (*maximum)(const float* x, int64_t n);
  // Sum of exp(x * scale - shift).
  float (*sum_exp)(const float* x, int64_t n, float scale, float shift);
  int64_t (*count_greater)(const float* x, int64_t n, float than);
  // Calls found(context, index) for each x[index] > *than, ascending; *than may be raised by it.
  void (*scan_greater)(const float* x, int64_t n, const float* than, void (*found)(void* context, int64_t index),
                       void* context);
  // For DeviceRoofline: a sum of all floats (a multiple of 64); nothing but multiply-adds, by Arithmetic, `rounds`
  // times.
  float (*read_all)(const float* data, int64_t count);
  float (*multiply_add[kArithmetics])(int64_t rounds, int64_t* multiply_adds);
  int64_t roofline_rounds;  // that take some milliseconds
};

extern const CpuOps kCpuOpsAvx512Vnni, kCpuOpsAvx2, kCpuOpsEmulated;

constexpr int64_t padded_head_dim(int64_t head_dim) { return (head_dim + 15) / 16 * 16; }
constexpr int64_t kTileRows = 12;  // a tile has at most max(this, heads per KV head) rows

}  // namespace halftone
