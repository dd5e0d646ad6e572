#include "kernels/cuda/prepare.h"

#include "kernels/contract/check.h"
#include "kernels/cuda/cta_reduce.h"
#include "kernels/cuda/primitives/memory.h"
#include "kernels/cuda/primitives/numbers.h"
#include "kernels/cuda/primitives/pdl.h"

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
  int32_t cols, tiles;
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

HALFTONE_DEVICE void load_inputs(const PrepareCall& call, int token, int unit, Unit* to) {
  const int first = unit * kSumInputs;
  const uint16_t* x = call.x + token * call.x_stride + first;
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
HALFTONE_DEVICE void store_unit(const PrepareCall& call, int token, int unit, const Unit& from, const float* inverse) {
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
  HALFTONE_UNROLL
  for (int i = 0; i < kUnitWords; i += 2) {
    uint16_t* out = call.out + prepared_index(token, unit * kSumInputs + i * 2, call.tiles);
    *reinterpret_cast<Bytes8*>(out) = {words[i], words[i + 1]};
  }
  call.sums[sum_index(token, unit, call.tiles)] = sum;
}

// Grid: (tokens, CTAs for the units of a token); a thread for each unit.
HALFTONE_KERNEL void HALFTONE_LAUNCH_BOUNDS(kThreads, 8) round_kernel(PrepareCall call) {
  const int token = static_cast<int>(blockIdx.x), unit = static_cast<int>(blockIdx.y * kThreads + threadIdx.x);
  pdl_trigger();
  pdl_wait();
  if (unit >= call.tiles * kTileSums) return;
  Unit loaded;
  load_inputs(call, token, unit, &loaded);
  store_unit(call, token, unit, loaded, nullptr);
}

// A CTA for each token; a thread takes every 128th unit, which fixes the order of the sum of squares.
HALFTONE_KERNEL void HALFTONE_LAUNCH_BOUNDS(kThreads, 4) norm_kernel(PrepareCall call) {
  const int token = static_cast<int>(blockIdx.x);
  const int first = static_cast<int>(threadIdx.x), units = call.tiles * kTileSums;
  Unit kept[kKept], other;
  pdl_trigger();
  HALFTONE_UNROLL
  for (int i = 0; i < kKept; ++i) {
    if (first + i * kThreads < units) load_weights(call, first + i * kThreads, &kept[i]);
  }
  pdl_wait();
  HALFTONE_UNROLL
  for (int i = 0; i < kKept; ++i) {
    if (first + i * kThreads < units) load_inputs(call, token, first + i * kThreads, &kept[i]);
  }
  float squares = 0;
  HALFTONE_UNROLL
  for (int i = 0; i < kKept; ++i) {
    if (first + i * kThreads < units) squares = add_squares(kept[i], squares);
  }
  for (int unit = first + kKept * kThreads; unit < units; unit += kThreads) {
    load_inputs(call, token, unit, &other);
    squares = add_squares(other, squares);
  }
  const float mean = reduce_cta<Sum>(squares, dynamic_shared<float>()) / static_cast<float>(call.cols);
  const float inverse = 1.0f / square_root(mean + call.epsilon);
  HALFTONE_UNROLL
  for (int i = 0; i < kKept; ++i) {
    if (first + i * kThreads < units) store_unit(call, token, first + i * kThreads, kept[i], &inverse);
  }
  for (int unit = first + kKept * kThreads; unit < units; unit += kThreads) {
    load_inputs(call, token, unit, &other);
    load_weights(call, unit, &other);
    store_unit(call, token, unit, other, &inverse);
  }
}

int64_t tiles_of(int64_t cols) { return (cols + kTileInputs - 1) / kTileInputs; }
int64_t padded(int64_t tokens) { return (tokens + kNTileTokens - 1) / kNTileTokens * kNTileTokens; }

}  // namespace

size_t prepared_bytes(int64_t tokens, int64_t cols) {
  const int64_t tiles = padded(tokens) * tiles_of(cols);
  return static_cast<size_t>(tiles * kTileInputs) * sizeof(uint16_t) +
         static_cast<size_t>(tiles * kTileSums) * sizeof(float);
}

cudaError_t prepare(const Tensor& x, const float* rms_weight, float epsilon, std::byte* memory, cudaStream_t stream,
                    Prepared* out) {
  const int64_t tiles = tiles_of(x.cols);
  auto* values = reinterpret_cast<uint16_t*>(memory);
  auto* sums = reinterpret_cast<float*>(values + padded(x.rows) * tiles * kTileInputs);
  *out = {values, sums, static_cast<int32_t>(tiles), static_cast<int32_t>(x.rows)};
  const PrepareCall call{static_cast<const uint16_t*>(x.data), x.stride,   rms_weight, epsilon,
                         static_cast<int32_t>(x.cols),         out->tiles, values,     sums};
  HALFTONE_CHECK(reinterpret_cast<uintptr_t>(memory) % sizeof(Bytes16) == 0);
  const unsigned rows = static_cast<unsigned>(x.rows);
  if (rms_weight != nullptr) {
    return launch(norm_kernel, {dim3(rows), dim3(kThreads), kThreads / kWarp * sizeof(float), stream, true}, call);
  }
  const unsigned ctas = static_cast<unsigned>((tiles * kTileSums + kThreads - 1) / kThreads);
  return launch(round_kernel, {dim3(rows, ctas), dim3(kThreads), 0, stream, true}, call);
}

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
