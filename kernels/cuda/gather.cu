#include "kernels/cuda/gather.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {
namespace {

constexpr int kThreads = 128;

// A CTA for each row.
HALFTONE_KERNEL void HALFTONE_LAUNCH_BOUNDS(kThreads, 8)
    gather_kernel(const uint16_t* from, int64_t from_stride, GatheredRows rows, int32_t cols, uint16_t* to,
                  int64_t to_stride) {
  const int64_t row = rows.row[blockIdx.x];
  for (int c = static_cast<int>(threadIdx.x); c < cols; c += kThreads) {
    to[blockIdx.x * to_stride + c] = from[row * from_stride + c];
  }
}

}  // namespace

cudaError_t gather_rows(const uint16_t* from, int64_t from_stride, const GatheredRows& rows, int32_t cols, uint16_t* to,
                        int64_t to_stride, cudaStream_t stream) {
  const LaunchShape shape{dim3(static_cast<unsigned>(rows.count)), dim3(kThreads), 0, stream};
  return launch(gather_kernel, shape, from, from_stride, rows, cols, to, to_stride);
}

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
