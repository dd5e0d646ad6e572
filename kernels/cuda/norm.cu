#include "kernels/cuda/norm.h"

#include "kernels/cuda/cta_reduce.h"
#include "kernels/cuda/primitives/numbers.h"
#include "kernels/cuda/primitives/pdl.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {
namespace {

constexpr int kThreads = 256;

struct DeviceNorm {
  const uint16_t* x;
  uint16_t* y;
  int64_t x_stride, y_stride;
  const float* weight;
  float epsilon;
  int32_t cols;
  bool add_to_y;
};

// A CTA for each row. Bound: latency for few rows, the bytes for many.
HALFTONE_KERNEL void HALFTONE_LAUNCH_BOUNDS(kThreads, 4) row_norm_kernel(DeviceNorm call) {
  pdl_trigger();
  pdl_wait();
  const uint16_t* x = call.x + static_cast<int64_t>(blockIdx.x) * call.x_stride;
  uint16_t* y = call.y + static_cast<int64_t>(blockIdx.x) * call.y_stride;
  float squares = 0;
  for (int c = static_cast<int>(threadIdx.x); c < call.cols; c += kThreads) {
    const float value = f32_from_bf16(x[c]);
    squares = fma(value, value, squares);
  }
  const float mean = reduce_cta<Sum>(squares, dynamic_shared<float>()) / static_cast<float>(call.cols);
  const float inverse = 1.0f / square_root(mean + call.epsilon);
  for (int c = static_cast<int>(threadIdx.x); c < call.cols; c += kThreads) {
    float value = (f32_from_bf16(x[c]) * inverse) * call.weight[c];
    if (call.add_to_y) value = f32_from_bf16(y[c]) + value;
    y[c] = bf16_from_f32(value);
  }
}

}  // namespace

cudaError_t norm(const NormCall& call, cudaStream_t stream) {
  const DeviceNorm device{static_cast<const uint16_t*>(call.x.data),
                          static_cast<uint16_t*>(call.y.data),
                          call.x.stride,
                          call.y.stride,
                          call.weight,
                          call.epsilon,
                          static_cast<int32_t>(call.x.cols),
                          call.add_to_y};
  const LaunchShape shape{dim3(static_cast<unsigned>(call.x.rows)), dim3(kThreads), kThreads / kWarp * sizeof(float),
                          stream, true};
  return launch(row_norm_kernel, shape, device);
}

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
