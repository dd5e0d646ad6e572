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
HALFTONE_DEVICE float add_up(const EpilogueCall& call, int64_t at) {
  const int64_t one = static_cast<int64_t>(call.tokens) * call.product_rows;
  float parts[kProductParts];
  HALFTONE_UNROLL
  for (int part = 0; part < kProductParts; ++part) {
    parts[part] = part < call.parts ? call.product[part * one + at] : 0.0f;
  }
  float sum = parts[0];
  HALFTONE_UNROLL
  for (int part = 1; part < kProductParts; ++part) {
    if (part < call.parts) sum = sum + parts[part];
  }
  return sum;
}

// The output that a row of the product belongs to, and the row's number there.
struct OutputPlace {
  EpilogueOutput output;
  int row;
};
HALFTONE_DEVICE OutputPlace place_of_row(const EpilogueCall& call, int row) {
  OutputPlace place{call.outputs[0], row};
  HALFTONE_UNROLL
  for (int i = 1; i < kJoinedMost; ++i) {
    if (i >= call.count || row < call.outputs[i - 1].rows) break;
    row -= call.outputs[i - 1].rows;
    place = {call.outputs[i], row};
  }
  return place;
}

// A thread for each output of a token.
template <typename Y>
HALFTONE_KERNEL void HALFTONE_LAUNCH_BOUNDS(kThreads, 4) epilogue_kernel(EpilogueCall call) {
  let_next_begin();
  wait_for_earlier();
  const int row = static_cast<int>(blockIdx.x * kThreads + threadIdx.x);
  const OutputPlace place = place_of_row(call, row);
  if (place.row >= place.output.rows) return;
  const int64_t token = blockIdx.y, at = token * call.product_rows + row;
  float value = add_up(call, at);
  if (place.output.bias != nullptr) value = value + place.output.bias[place.row];
  if (call.swiglu) value = silu_ordered<ExpOps>(value) * add_up(call, at + place.output.rows);
  auto* y = static_cast<typename Y::Stored*>(place.output.y) + token * place.output.y_stride + place.row;
  if (call.add_to_y) value = Y::load(*y) + value;
  *y = Y::store(value);
}

}  // namespace

cudaError_t finish_product(const EpilogueCall& call, DType y, cudaStream_t stream) {
  int rows = 0;
  for (int i = 0; i < call.count; ++i) rows += call.outputs[i].rows;
  const unsigned blocks = static_cast<unsigned>((rows + kThreads - 1) / kThreads);
  const LaunchShape shape{dim3(blocks, static_cast<unsigned>(call.tokens)), dim3(kThreads), 0, stream, true};
  return y == DType::kBF16 ? launch(epilogue_kernel<Bf16>, shape, call) : launch(epilogue_kernel<F32>, shape, call);
}

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
