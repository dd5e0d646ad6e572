// What follows a GEMM: the split-K partials added up in ascending order, then bias, gate, cap, residual.
#pragma once

#include "kernels/contract/linear.h"
#include "kernels/cuda/matrix.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {

// The output of one of the fused matrices, or of a matrix and its gate.
struct EpilogueOutput {
  void* y = nullptr;  // [tokens][y_stride]
  int64_t y_stride = 0;
  const float* bias = nullptr;
  int32_t rows = 0;
};

struct EpilogueCall {
  const float* partials = nullptr;  // [split_partials][tokens][partial_rows]
  int32_t split_partials = 1, tokens = 0, partial_rows = 0;
  EpilogueOutput outputs[kMaxFused];  // one for each matrix, in the order of its rows in the partials
  int32_t count = 1;
  bool gated = false;  // one output; in the partials its rows are followed by as many of the gate's matrix
  GateKind gate = GateKind::kSilu;
  const void* addend = nullptr;  // [tokens][addend_stride], of y's type: added to the gate's product; null: none
  int64_t addend_stride = 0;
  float cap = 0;
  bool add_to_y = false;
};

// y in bf16 or f32.
cudaError_t run_epilogue(const EpilogueCall& call, DType y, cudaStream_t stream);

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
