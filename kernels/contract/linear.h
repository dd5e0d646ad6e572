// One product with a packed matrix, with what a kernel may fuse before and after it.
#pragma once

#include "kernels/contract/tensor.h"
#include "kernels/contract/weight_format.h"

namespace halftone {

enum class Activations : uint8_t { kA16 };  // a16: float32 on the CPU, bf16 on CUDA

struct Epilogue {
  const float* bias = nullptr;              // [rows]: y += bias
  const PackedMatrix* swiglu_up = nullptr;  // y = silu(weights x) * (swiglu_up x): both of one shape
  bool add_to_y = false;                    // y = y + result: the residual stream
};

struct LinearCall {
  const PackedMatrix* weights = nullptr;
  Activations activations = Activations::kA16;
  Tensor x;                           // [tokens, cols]
  const float* rms_weight = nullptr;  // [cols]: x is RMS-normalized first; null: taken as it is
  float rms_epsilon = 0;
  Epilogue epilogue = {};
  Tensor y;  // [tokens, rows]
};

}  // namespace halftone
