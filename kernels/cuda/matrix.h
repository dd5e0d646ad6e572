// A weight matrix as CUDA kernels see it, and the launch that multiplies by it. Every format keeps whole blocks of 64
// rows together, so that a matrix is filled as it is packed: 64 rows at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/contract/linear.h"
#include "kernels/cuda/gemm_plan.h"
#include "kernels/cuda/launch.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {

constexpr int kBlockRows = 64;
constexpr int kTileInputs = 64;  // a k-tile; inputs are padded to whole ones, with codes and activations of 0

constexpr int64_t row_blocks(const PackedShape& s) { return (s.rows + kBlockRows - 1) / kBlockRows; }
constexpr int64_t input_tiles(const PackedShape& s) { return (s.cols + kTileInputs - 1) / kTileInputs; }

// In device memory; block b's codes begin at codes + b * block_codes, its scales at scales + b * block_scales.
struct DeviceMatrix {
  const std::byte* codes = nullptr;
  const std::byte* scales = nullptr;
  uint32_t block_codes = 0, block_scales = 0;  // bytes
  int32_t rows = 0, cols = 0, group = 0;
  int32_t tiles = 0;  // k-tiles
  AffineGrid::Offset offset = AffineGrid::Offset::kSymmetric;

  HALFTONE_HOST_DEVICE int row_blocks() const { return (rows + kBlockRows - 1) / kBlockRows; }
};

// Activations as every GEMM reads them (prepare.h makes them), in device memory: B operands of mma.m16n8k16. An n-tile
// has 8 tokens; of an n-tile and a k-tile there are 64 vectors of 16 bytes: vector 32 h + l holds 4 inputs (4 t to
// 4 t + 3, t = l % 4) of k-step 2 h and of k-step 2 h + 1, of token l / 4; a k-step is 16 inputs. Beside them the sums
// of each k-step's inputs, for formats with minimums.
struct Prepared {
  const uint16_t* x = nullptr;  // [n-tiles][k-tiles][64 vectors][8] bf16; zeros beyond the columns
  const float* sums = nullptr;  // [n-tiles][k-tiles][8 tokens][4]
  int32_t tiles = 0, tokens = 0;
};
using gemm::kNTileTokens;
constexpr int kNTileVectors = kNTileTokens * kTileInputs / 8;  // of one k-tile
constexpr int kSumInputs = 16;
constexpr int kTileSums = kTileInputs / kSumInputs;

// The index in Prepared::x of `input` (a multiple of 4, the first of 4 that lie together) of a token, and in
// Prepared::sums of k-step `sum`.
HALFTONE_HOST_DEVICE int64_t prepared_index(int token, int input, int tiles) {
  const int in_tile = input % kTileInputs, step = in_tile / 16, lane = token % kNTileTokens * 4 + in_tile % 16 / 4;
  const int64_t tile = static_cast<int64_t>(token / kNTileTokens) * tiles + input / kTileInputs;
  return tile * (kNTileVectors * 8) + (step / 2 * 32 + lane) * 8 + step % 2 * 4 + in_tile % 4;
}
HALFTONE_HOST_DEVICE int64_t sum_index(int token, int sum, int tiles) {
  const int64_t tile = static_cast<int64_t>(token / kNTileTokens) * tiles + sum / kTileSums;
  return (tile * kNTileTokens + token % kNTileTokens) * kTileSums + sum % kTileSums;
}

// One GEMM launch: up to 3 matrices sharing x, their outputs concatenated by row. out is [split][token][row] in
// float32: split-K partials, which the epilogue adds up, or the complete sums where the plan leaves one.
constexpr int kMaxFused = 3;
struct GemmLaunch {
  DeviceMatrix weights[kMaxFused];  // of one format, group and offset; rows may differ
  int32_t matrices = 1;
  Prepared x;
  float* out = nullptr;
  int64_t out_stride = 0;  // floats from one token to the next
  int64_t partial_stride = 0;
  int32_t k_splits = 1;  // ranges of k whose sums are made apart, then added in ascending order

  int row_blocks() const {
    int blocks = 0;
    for (int i = 0; i < matrices; ++i) blocks += weights[i].row_blocks();
    return blocks;
  }
};

// y[t] = scale * row ids[t] as bf16; zeros from *tokens on.
struct DeviceEmbed {
  const int32_t* ids = nullptr;
  const int32_t* tokens = nullptr;
  uint16_t* y = nullptr;  // [rows][stride]
  int64_t stride = 0;
  int32_t rows = 0;
  float scale = 1;
};

// The CUDA side of a weight format; kernels/weights/weights_cuda.cu lists them.
struct CudaFormat {
  const WeightFormat* format = nullptr;
  // Of one block of 64 rows.
  PackedBytes (*block_bytes)(const PackedShape& shape) = nullptr;
  // Writes one block of a matrix from up to 64 rows; both images, in the host's memory, begin zeroed.
  void (*pack_block)(const PackedShape& shape, const WeightRows& rows, std::byte* codes, std::byte* scales) = nullptr;
  cudaError_t (*multiply)(const GemmLaunch& launch, const gemm::Plan& plan, cudaStream_t stream) = nullptr;
  cudaError_t (*embed)(const DeviceMatrix& weights, const DeviceEmbed& call, cudaStream_t stream) = nullptr;
};

std::span<const CudaFormat* const> all_cuda_formats();
const CudaFormat* find_cuda_format(const WeightFormat& format);  // null: none on this device

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
