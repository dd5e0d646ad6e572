// The operations in double, each value with a bound: how far float32 arithmetic in any order may lie from it. The bound
// is made of 2^-24, the number of roundings and the sum of |terms| (docs/NUMERICS.md); *bounded* devices are held to
// it. Any thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/contract/device.h"

namespace halftone::reference {

constexpr double kFloatRounding = 0x1p-24;  // of one operation, relative to its result

struct Bounded {
  double value = 0;
  double bound = 0;
};

// What a device does besides float32 arithmetic; the errors are relative.
struct LinearRounding {
  double input = 0;            // of an input, when it has been normalized
  double output = 0;           // of what is written to y
  bool minimum_apart = false;  // y = scale * sum(code x) + minimum * sum(x), group by group
};
constexpr double kBf16Rounding = 0x1p-8;  // of one value; half of it would do but for values next to a power of two

// [tokens * rows]. With add_to_y the call's y is read as it is before the operation.
std::vector<Bounded> exact_linear(const LinearCall& call, const LinearRounding& rounding = {});
// [rows * cols]; of `rounding` the output's.
std::vector<Bounded> exact_norm(const NormCall& call, const LinearRounding& rounding = {});
// [rows of q * heads * head_dim]; rows that belong to no sequence are zero.
std::vector<Bounded> exact_attention(const StepBatch& batch, const AttentionCall& call);
// Of scale * row. `additions`: that a term goes through on its way to the sum; 0: as many as there are terms, in any
// order.
Bounded exact_logsumexp(std::span<const float> row, float scale = 1, int64_t additions = 0);

}  // namespace halftone::reference
