#include "kernels/cuda/epilogue.h"

#include "kernels/contract/exp.h"
#include "kernels/cuda/primitives/numbers.h"
#include "kernels/cuda/primitives/pdl.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {
namespace {

constexpr int kThreads = 256;

struct Bf16Output {
  using Stored = uint16_t;
  HALFTONE_DEVICE static float load(Stored bits) { return f32_from_bf16(bits); }
  HALFTONE_DEVICE static Stored store(float value) { return bf16_from_f32(value); }
};
struct F32Output {
  using Stored = float;
  HALFTONE_DEVICE static float load(Stored value) { return value; }
  HALFTONE_DEVICE static Stored store(float value) { return value; }
};

// One output's sum over the splits. All loads are issued before the first value is needed.
HALFTONE_DEVICE float add_up(const EpilogueCall& call, int64_t at) {
  const int64_t one = static_cast<int64_t>(call.tokens) * call.partial_rows;
  float partials[gemm::kMaxKSplits];
  HALFTONE_UNROLL
  for (int split = 0; split < gemm::kMaxKSplits; ++split) {
    partials[split] = split < call.split_partials ? call.partials[split * one + at] : 0.0f;
  }
  float sum = partials[0];
  HALFTONE_UNROLL
  for (int split = 1; split < gemm::kMaxKSplits; ++split) {
    if (split < call.split_partials) sum = sum + partials[split];
  }
  return sum;
}

// The output that a row of the partials belongs to, and the row's number there.
struct OutputRow {
  EpilogueOutput output;
  int row;
};
HALFTONE_DEVICE OutputRow output_of_row(const EpilogueCall& call, int row) {
  OutputRow out{call.outputs[0], row};
  HALFTONE_UNROLL
  for (int i = 1; i < kMaxFused; ++i) {
    if (i >= call.count || row < call.outputs[i - 1].rows) break;
    row -= call.outputs[i - 1].rows;
    out = {call.outputs[i], row};
  }
  return out;
}

template <typename Y>
HALFTONE_DEVICE float activated_gate(const EpilogueCall& call, float value, int64_t token, int row) {
  if (call.addend != nullptr) {
    value = value + Y::load(static_cast<const typename Y::Stored*>(call.addend)[token * call.addend_stride + row]);
  }
  return call.gate == GateKind::kSilu ? silu_ordered<ExpOps>(value) : gelu_tanh_ordered<ExpOps>(value);
}

// A thread for each output of a token. y may be the partials themselves, where there is one of a float32 output.
template <typename Y>
HALFTONE_KERNEL void HALFTONE_LAUNCH_BOUNDS(kThreads, 4) epilogue_kernel(EpilogueCall call) {
  pdl_trigger();
  pdl_wait();
  const int row = static_cast<int>(blockIdx.x * kThreads + threadIdx.x);
  const OutputRow out = output_of_row(call, row);
  if (out.row >= out.output.rows) return;
  const int64_t token = blockIdx.y, at = token * call.partial_rows + row;
  float value = add_up(call, at);
  if (out.output.bias != nullptr) value = value + out.output.bias[out.row];
  if (call.gated) value = activated_gate<Y>(call, add_up(call, at + out.output.rows), token, out.row) * value;
  if (call.cap != 0) value = cap_ordered<ExpOps>(value, call.cap);
  auto* y = static_cast<typename Y::Stored*>(out.output.y) + token * out.output.y_stride + out.row;
  if (call.add_to_y) value = Y::load(*y) + value;
  *y = Y::store(value);
}

}  // namespace

cudaError_t run_epilogue(const EpilogueCall& call, DType y, cudaStream_t stream) {
  int rows = 0;
  for (int i = 0; i < call.count; ++i) rows += call.outputs[i].rows;
  const unsigned blocks = static_cast<unsigned>((rows + kThreads - 1) / kThreads);
  const LaunchShape shape{dim3(blocks, static_cast<unsigned>(call.tokens)), dim3(kThreads), 0, stream, true};
  return y == DType::kBF16 ? launch(epilogue_kernel<Bf16Output>, shape, call)
                           : launch(epilogue_kernel<F32Output>, shape, call);
}

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
