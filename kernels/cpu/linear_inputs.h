// What the products of one linear() read: x as it is, normalized, or rounded to int8 for each way of cutting a row that
// the matrices ask for. Lies in the workspace behind the threads' scratch.
#pragma once

#include "kernels/cpu/cpu_context.h"

namespace halftone {

// 0: this matrix is multiplied with floats.
int64_t integer_segment(const PackedMatrix& matrix, Activations activations);

class LinearInputs {
 public:
  // All calls have one x and one norm. scratch_floats: of each thread, at least x.cols.
  LinearInputs(const CpuContext& context, std::span<const LinearCall> calls, int64_t scratch_floats);

  const Tensor& floats() const { return x_; }
  const QuantizedRows& quantized(int64_t segment) const;

 private:
  void want(int64_t segment);
  void fill(const CpuContext& context, const LinearCall& call, int64_t scratch_floats);

  static constexpr int kCuts = 3;
  bool wants_floats_ = false;
  bool one_scale_ = false;
  Tensor x_;
  int cuts_ = 0;
  QuantizedRows rows_[kCuts];
  int8_t* codes_[kCuts] = {};
  float* scales_[kCuts] = {};
  int32_t* sums_[kCuts] = {};
};

// Bytes for steps of at most max_tokens tokens, beside the threads' scratch.
size_t linear_inputs_bytes(int64_t max_tokens, int64_t max_cols);

}  // namespace halftone
