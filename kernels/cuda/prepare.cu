#include "kernels/cuda/prepare.h"

#include "kernels/contract/check.h"
#include "kernels/cuda/block.h"
#include "kernels/cuda/primitives/memory.h"
#include "kernels/cuda/primitives/numbers.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {
namespace {

constexpr int kThreads = 128;
constexpr int kKept = 2;  // units of a thread that stay in registers from the norm's sum to its end
constexpr int kUnitWords = kSumInputs / 2;

struct PrepareCall {
  const uint16_t* x;
  int64_t x_stride;
  const float* rms_weight;
  float epsilon;
  int32_t cols, stride, tokens_stride;
  uint16_t* out;
  float* sums;
};

// kSumInputs inputs of one token as they were, zeros beyond the columns, and their weights in the norm.
struct Unit {
  uint32_t x[kUnitWords];  // two bf16 each
  float weights[kSumInputs];
};

HALFTONE_DEVICE bool is_aligned(const void* address) {
  return reinterpret_cast<uintptr_t>(address) % sizeof(Bytes16) == 0;
}

// From an address that is aligned to 16 bytes.
template <int kWords>
HALFTONE_DEVICE void load_words(const void* from, uint32_t (&to)[kWords]) {
  HALFTONE_UNROLL
  for (int i = 0; i < kWords; i += 4) {
    const Bytes16 four = load_16(static_cast<const uint32_t*>(from) + i);
    to[i] = four.x, to[i + 1] = four.y, to[i + 2] = four.z, to[i + 3] = four.w;
  }
}

HALFTONE_DEVICE void load_inputs(const PrepareCall& call, int64_t row, int unit, Unit* to) {
  const int first = unit * kSumInputs;
  const uint16_t* x = call.x + row * call.x_stride + first;
  if (first + kSumInputs <= call.cols && is_aligned(x)) return load_words(x, to->x);
  HALFTONE_UNROLL
  for (int i = 0; i < kUnitWords; ++i) {
    const uint32_t low = first + 2 * i < call.cols ? x[2 * i] : 0,
                   high = first + 2 * i + 1 < call.cols ? x[2 * i + 1] : 0;
    to->x[i] = low | high << 16;
  }
}

HALFTONE_DEVICE void load_weights(const PrepareCall& call, int unit, Unit* to) {
  const int first = unit * kSumInputs;
  const float* weights = call.rms_weight + first;
  if (first + kSumInputs <= call.cols && is_aligned(weights)) {
    uint32_t bits[kSumInputs];
    load_words(weights, bits);
    HALFTONE_UNROLL
    for (int i = 0; i < kSumInputs; ++i) to->weights[i] = f32_from_bits(bits[i]);
    return;
  }
  HALFTONE_UNROLL
  for (int i = 0; i < kSumInputs; ++i) to->weights[i] = first + i < call.cols ? weights[i] : 0.0f;
}

HALFTONE_DEVICE float input(const Unit& unit, int i) {
  return f32_from_bf16(static_cast<uint16_t>(unit.x[i / 2] >> (i % 2 * 16)));
}

HALFTONE_DEVICE float add_squares(const Unit& unit, float squares) {
  HALFTONE_UNROLL
  for (int i = 0; i < kSumInputs; ++i) squares = fma(input(unit, i), input(unit, i), squares);
  return squares;
}

// inverse: of the root mean square; where there is no norm, null.
HALFTONE_DEVICE void store_unit(const PrepareCall& call, int64_t row, int unit, const Unit& from,
                                const float* inverse) {
  uint32_t words[kUnitWords] = {};
  float sum = 0;
  HALFTONE_UNROLL
  for (int i = 0; i < kSumInputs; ++i) {
    float x = input(from, i);
    if (inverse != nullptr && unit * kSumInputs + i < call.cols) x = (x * *inverse) * from.weights[i];
    const uint16_t bits = bf16_from_f32(x);
    words[i / 2] |= static_cast<uint32_t>(bits) << (i % 2 * 16);
    sum = sum + f32_from_bf16(bits);
  }
  uint16_t* out = call.out + row * call.stride + unit * kSumInputs;
  store_16(out, {words[0], words[1], words[2], words[3]});
  store_16(out + kSumInputs / 2, {words[4], words[5], words[6], words[7]});
  call.sums[static_cast<int64_t>(unit) * call.tokens_stride + row] = sum;
}

// Grid: (tokens, pieces of the columns); a thread for each unit.
HALFTONE_KERNEL void HALFTONE_LAUNCH_BOUNDS(kThreads, 8) round_kernel(PrepareCall call) {
  const int unit = static_cast<int>(blockIdx.y * kThreads + threadIdx.x);
  if (unit >= call.stride / kSumInputs) return;
  Unit loaded;
  load_inputs(call, blockIdx.x, unit, &loaded);
  store_unit(call, blockIdx.x, unit, loaded, nullptr);
}

// A block for each token; a thread takes every 128th unit: the order of the sum of squares.
HALFTONE_KERNEL void HALFTONE_LAUNCH_BOUNDS(kThreads, 4) norm_kernel(PrepareCall call) {
  const int64_t row = blockIdx.x;
  const int first = static_cast<int>(threadIdx.x), units = call.stride / kSumInputs;
  Unit kept[kKept], other;
  HALFTONE_UNROLL
  for (int i = 0; i < kKept; ++i) {
    if (first + i * kThreads < units) load_inputs(call, row, first + i * kThreads, &kept[i]);
  }
  HALFTONE_UNROLL
  for (int i = 0; i < kKept; ++i) {
    if (first + i * kThreads < units) load_weights(call, first + i * kThreads, &kept[i]);
  }
  float squares = 0;
  HALFTONE_UNROLL
  for (int i = 0; i < kKept; ++i) {
    if (first + i * kThreads < units) squares = add_squares(kept[i], squares);
  }
  for (int unit = first + kKept * kThreads; unit < units; unit += kThreads) {
    load_inputs(call, row, unit, &other);
    squares = add_squares(other, squares);
  }
  const float mean = reduce_block<Sum>(squares, dynamic_shared<float>()) / static_cast<float>(call.cols);
  const float inverse = 1.0f / square_root(mean + call.epsilon);
  HALFTONE_UNROLL
  for (int i = 0; i < kKept; ++i) {
    if (first + i * kThreads < units) store_unit(call, row, first + i * kThreads, kept[i], &inverse);
  }
  for (int unit = first + kKept * kThreads; unit < units; unit += kThreads) {
    load_inputs(call, row, unit, &other);
    load_weights(call, unit, &other);
    store_unit(call, row, unit, other, &inverse);
  }
}

int64_t padded_cols(int64_t cols) { return (cols + kTileInputs - 1) / kTileInputs * kTileInputs; }
// Whole 16-byte pieces of sums.
int64_t padded_tokens(int64_t tokens) { return (tokens + 3) / 4 * 4; }

}  // namespace

size_t prepared_bytes(int64_t tokens, int64_t cols) {
  const int64_t stride = padded_cols(cols);
  return static_cast<size_t>(tokens * stride) * 2 +
         static_cast<size_t>(padded_tokens(tokens) * stride / kSumInputs) * 4;
}

cudaError_t prepare(const Tensor& x, const float* rms_weight, float epsilon, std::byte* memory, cudaStream_t stream,
                    Prepared* out) {
  const int64_t stride = padded_cols(x.cols);
  auto* values = reinterpret_cast<uint16_t*>(memory);
  auto* sums = reinterpret_cast<float*>(memory + static_cast<size_t>(x.rows * stride) * 2);
  *out = {values, sums, static_cast<int32_t>(stride), static_cast<int32_t>(x.rows),
          static_cast<int32_t>(padded_tokens(x.rows))};
  const PrepareCall call{static_cast<const uint16_t*>(x.data),
                         x.stride,
                         rms_weight,
                         epsilon,
                         static_cast<int32_t>(x.cols),
                         out->stride,
                         out->tokens_stride,
                         values,
                         sums};
  HALFTONE_CHECK(reinterpret_cast<uintptr_t>(memory) % sizeof(Bytes16) == 0);
  const unsigned rows = static_cast<unsigned>(x.rows);
  if (rms_weight != nullptr) {
    return launch(norm_kernel, {dim3(rows), dim3(kThreads), kThreads / kWarp * sizeof(float), stream}, call);
  }
  const unsigned pieces = static_cast<unsigned>((stride / kSumInputs + kThreads - 1) / kThreads);
  return launch(round_kernel, {dim3(rows, pieces), dim3(kThreads), 0, stream}, call);
}

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
