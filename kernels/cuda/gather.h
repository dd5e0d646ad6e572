// Rows of activations picked out, on CUDA.
#pragma once

#include "kernels/contract/device.h"
#include "kernels/cuda/launch.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {

// The rows travel as an argument of the kernel: there is nothing to upload.
struct GatheredRows {
  int32_t count = 0;
  int32_t row[kGatherRows] = {};
};

// to[i] = from[rows.row[i]]; strides in values of bf16.
cudaError_t gather_rows(const uint16_t* from, int64_t from_stride, const GatheredRows& rows, int32_t cols, uint16_t* to,
                        int64_t to_stride, cudaStream_t stream);

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
