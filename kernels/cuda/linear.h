// Device::linear on CUDA: activations are prepared once, calls fused into GEMM launches, steps cut into slices of
// tokens whose partials fit into the workspace, each followed by its epilogue.
#pragma once

#include <span>

#include "kernels/contract/linear.h"
#include "kernels/cuda/matrix.h"
#include "kernels/cuda/stream.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {

struct Workspace {
  std::byte* data = nullptr;
  size_t bytes = 0;
};

DeviceMatrix device_matrix(const PackedMatrix& matrix);

// Bytes that linear() needs for matrices of at most max_cols rows and columns, and for any matrix without an epilogue.
size_t linear_workspace(int64_t max_tokens, int64_t max_cols, int sm_count);
// The calls share x and its norm. The workspace holds at least linear_workspace() bytes, aligned to 16.
void linear(std::span<const LinearCall> calls, const Workspace& workspace, int sm_count, Stream& stream);

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
