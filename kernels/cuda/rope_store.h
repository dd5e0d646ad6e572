// RoPE, QK norm and the store into pages on CUDA.
#pragma once

#include "kernels/cuda/batch.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {

struct DeviceRope {
  uint16_t* q = nullptr;  // bf16, rotated in place
  const uint16_t* k = nullptr;
  const uint16_t* v = nullptr;
  int64_t q_stride = 0, k_stride = 0, v_stride = 0;
  int32_t heads = 0, rows = 0;
  int32_t rotated = 0;  // dimensions of a head that turn
  const float* q_norm = nullptr;
  const float* k_norm = nullptr;
  float epsilon = 0;
  const float* cosines = nullptr;  // [positions][rotated / 2]
  const float* sines = nullptr;
  int32_t* clamped = nullptr;  // counts up
};

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
