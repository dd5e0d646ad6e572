// What follows a product: the pieces of the inputs added up in ascending order, bias, SwiGLU, the residual.
#pragma once

#include "kernels/contract/linear.h"
#include "kernels/cuda/launch.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {

constexpr int kProductParts = 8;  // at most

struct EpilogueCall {
  const float* product = nullptr;  // [parts][tokens][rows]
  const float* up = nullptr;       // the same of swiglu_up; null: none
  const float* bias = nullptr;
  int32_t parts = 1, tokens = 0, rows = 0;
  bool add_to_y = false;
  void* y = nullptr;  // [tokens][y_stride]
  int64_t y_stride = 0;
};

// y in bf16 or f32.
cudaError_t finish_product(const EpilogueCall& call, DType y, cudaStream_t stream);

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
