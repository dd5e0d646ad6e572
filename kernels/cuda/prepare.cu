#include "kernels/cuda/prepare.h"

#include "kernels/cuda/block.h"
#include "kernels/cuda/primitives/memory.h"
#include "kernels/cuda/primitives/numbers.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {
namespace {

constexpr int kThreads = 128;
constexpr int kTileUnits = kTileInputs / kSumInputs;

struct PrepareCall {
  const uint16_t* x;
  int64_t x_stride;
  const float* rms_weight;
  float epsilon;
  int32_t cols, stride, tokens;
  uint16_t* out;
  float* sums;
};

HALFTONE_DEVICE float value_at(const PrepareCall& call, int64_t row, int c) {
  return c < call.cols ? f32_from_bf16(call.x[row * call.x_stride + c]) : 0.0f;
}

// A block for each token; a thread takes every 128th unit.
HALFTONE_KERNEL void HALFTONE_LAUNCH_BOUNDS(kThreads, 8) prepare_kernel(PrepareCall call) {
  float* scratch = dynamic_shared<float>();
  const int64_t row = blockIdx.x;
  const int units = call.stride / kSumInputs;
  float inverse = 1;
  if (call.rms_weight != nullptr) {
    float squares = 0;
    for (int unit = static_cast<int>(threadIdx.x); unit < units; unit += kThreads) {
      for (int i = 0; i < kSumInputs; ++i) {
        const float x = value_at(call, row, unit * kSumInputs + i);
        squares = fma(x, x, squares);
      }
    }
    const float mean = reduce_block<Sum>(squares, scratch) / static_cast<float>(call.cols);
    inverse = 1.0f / square_root(mean + call.epsilon);
  }
  for (int unit = static_cast<int>(threadIdx.x); unit < units; unit += kThreads) {
    float sum = 0;
    for (int i = 0; i < kSumInputs; ++i) {
      const int c = unit * kSumInputs + i;
      float x = value_at(call, row, c);
      if (call.rms_weight != nullptr && c < call.cols) x = (x * inverse) * call.rms_weight[c];
      const uint16_t bits = bf16_from_f32(x);
      call.out[row * call.stride + c] = bits;
      sum = sum + f32_from_bf16(bits);
    }
    call.sums[(static_cast<int64_t>(unit / kTileUnits) * call.tokens + row) * kTileUnits + unit % kTileUnits] = sum;
  }
}

int64_t padded_cols(int64_t cols) { return (cols + kTileInputs - 1) / kTileInputs * kTileInputs; }

}  // namespace

size_t prepared_bytes(int64_t tokens, int64_t cols) {
  const int64_t stride = padded_cols(cols);
  return static_cast<size_t>(tokens * stride) * 2 +
         static_cast<size_t>(tokens * stride / kSumInputs) * 4;
}

cudaError_t prepare(const Tensor& x, const float* rms_weight, float epsilon, std::byte* memory, cudaStream_t stream,
                    Prepared* out) {
  const int64_t stride = padded_cols(x.cols);
  auto* values = reinterpret_cast<uint16_t*>(memory);
  auto* sums = reinterpret_cast<float*>(memory + static_cast<size_t>(x.rows * stride) * 2);
  *out = {values, sums, static_cast<int32_t>(stride), static_cast<int32_t>(x.rows),
          static_cast<int32_t>(x.rows)};
  const PrepareCall call{static_cast<const uint16_t*>(x.data),
                         x.stride,
                         rms_weight,
                         epsilon,
                         static_cast<int32_t>(x.cols),
                         out->stride,
                         out->tokens,
                         values,
                         sums};
  const LaunchShape shape{dim3(static_cast<unsigned>(x.rows)), dim3(kThreads), kThreads / kWarp * sizeof(float),
                          stream};
  return launch(prepare_kernel, shape, call);
}

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
