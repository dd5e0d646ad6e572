// Causal attention of new tokens to the pages, on CUDA: decodes and prefill chunks alike.
#pragma once

#include "kernels/cuda/batch.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {

constexpr int kAttentionSplit = 256;  // positions, counted from the sequence's beginning

struct DeviceAttention {
  const uint16_t* q = nullptr;  // bf16
  uint16_t* y = nullptr;
  int64_t q_stride = 0, y_stride = 0;
  int32_t heads = 0, rows = 0, sm_count = 1;
  float scale = 1;
  int32_t window = 0;
  float cap = 0;                 // of scores; 0: none
  const float* sinks = nullptr;  // [heads]; null: none
  float* partials =
      nullptr;  // [rows][heads][splits][2 + head_dim]: largest score, sum, values; null: one CTA walks all splits
  int32_t splits = 1;  // of the longest sequence, at least
};

// Bytes of partials.
size_t attention_partial_bytes(int64_t rows, int64_t heads, int64_t head_dim, int64_t splits);

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
