#include "kernels/cuda/epilogue.h"

#include "kernels/contract/exp.h"
#include "kernels/cuda/primitives/numbers.h"
#include "kernels/cuda/primitives/overlap.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {
namespace {

constexpr int kThreads = 256;

struct Bf16 {
  using Stored = uint16_t;
  HALFTONE_DEVICE static float load(Stored bits) { return f32_from_bf16(bits); }
  HALFTONE_DEVICE static Stored store(float value) { return bf16_from_f32(value); }
};
struct F32 {
  using Stored = float;
  HALFTONE_DEVICE static float load(Stored value) { return value; }
  HALFTONE_DEVICE static Stored store(float value) { return value; }
};

// All parts are asked for before the first one is needed.
HALFTONE_DEVICE float add_up(const float* product, const EpilogueCall& call, int64_t at) {
  const int64_t one = static_cast<int64_t>(call.tokens) * call.rows;
  float parts[kProductParts];
  HALFTONE_UNROLL
  for (int part = 0; part < kProductParts; ++part) {
    parts[part] = part < call.parts ? product[part * one + at] : 0.0f;
  }
  float sum = parts[0];
  HALFTONE_UNROLL
  for (int part = 1; part < kProductParts; ++part) {
    if (part < call.parts) sum = sum + parts[part];
  }
  return sum;
}

// A thread for each output of a token.
template <typename Y>
HALFTONE_KERNEL void HALFTONE_LAUNCH_BOUNDS(kThreads, 4) epilogue_kernel(EpilogueCall call) {
  let_next_begin();
  wait_for_earlier();
  const int row = static_cast<int>(blockIdx.x * kThreads + threadIdx.x);
  if (row >= call.rows) return;
  const int64_t token = blockIdx.y, at = token * call.rows + row;
  float value = add_up(call.product, call, at);
  if (call.bias != nullptr) value = value + call.bias[row];
  if (call.up != nullptr) value = silu_ordered<ExpOps>(value) * add_up(call.up, call, at);
  auto* y = static_cast<typename Y::Stored*>(call.y) + token * call.y_stride + row;
  if (call.add_to_y) value = Y::load(*y) + value;
  *y = Y::store(value);
}

}  // namespace

cudaError_t finish_product(const EpilogueCall& call, DType y, cudaStream_t stream) {
  const unsigned blocks = static_cast<unsigned>((call.rows + kThreads - 1) / kThreads);
  const LaunchShape shape{dim3(blocks, static_cast<unsigned>(call.tokens)), dim3(kThreads), 0, stream, true};
  return y == DType::kBF16 ? launch(epilogue_kernel<Bf16>, shape, call) : launch(epilogue_kernel<F32>, shape, call);
}

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
