// Products on CUDA: what of a call is prepared once, which pieces fit into the workspace, what follows each.
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

// Enough for linear() with matrices whose outputs are inputs of others (at most max_cols), and any whose product needs
// no epilogue.
size_t linear_workspace(int64_t max_tokens, int64_t max_cols, int processors);
// Calls with one x and norm.
void linear(std::span<const LinearCall> calls, const Workspace& workspace, int processors, Stream& stream);

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
