// The activations of a GEMM: normalized where that is wanted, rounded to bf16, padded with zeros to whole tiles,
// summed by 16 for formats with a minimum, and laid out as Prepared says.
#pragma once

#include "kernels/contract/tensor.h"
#include "kernels/cuda/matrix.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {

// Bytes that prepare() fills for this many tokens and inputs.
size_t prepared_bytes(int64_t tokens, int64_t cols);

// x: bf16 [tokens, cols]. rms_weight: f32 [cols] or null. Fills `memory`
// (prepared_bytes(), aligned to 16) and describes it in *out.
cudaError_t prepare(const Tensor& x, const float* rms_weight, float epsilon, std::byte* memory, cudaStream_t stream,
                    Prepared* out);

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
