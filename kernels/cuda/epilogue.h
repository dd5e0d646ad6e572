// What follows a product: the pieces of the inputs added up in ascending order, bias, SwiGLU, the residual.
#pragma once

#include "kernels/contract/linear.h"
#include "kernels/cuda/matrix.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {

constexpr int kProductParts = product::kPiecesMost;

// One matrix' rows of a product, or two matrices' of SwiGLU.
struct EpilogueOutput {
  void* y = nullptr;  // [tokens][y_stride]
  int64_t y_stride = 0;
  const float* bias = nullptr;
  int32_t rows = 0;
};

struct EpilogueCall {
  const float* product = nullptr;  // [parts][tokens][product_rows]
  int32_t parts = 1, tokens = 0, product_rows = 0;
  EpilogueOutput outputs[kJoinedMost];  // of rows that follow each other in the product
  int32_t count = 1;
  bool swiglu = false;  // one output; as many rows behind its own are those of swiglu_up
  bool add_to_y = false;
};

// y in bf16 or f32.
cudaError_t finish_product(const EpilogueCall& call, DType y, cudaStream_t stream);

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
