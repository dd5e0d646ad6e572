// A weight matrix as CUDA kernels see it, and the format's way to multiply by it. Every format keeps whole blocks of 64
// rows together, so that a matrix is filled as it is packed: 64 rows at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/contract/linear.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/product_plan.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {

constexpr int kBlockRows = 64;
constexpr int kTileInputs = 64;  // inputs are padded to whole tiles; codes and activations of the padding are 0

constexpr int64_t row_blocks(const PackedShape& s) { return (s.rows + kBlockRows - 1) / kBlockRows; }
constexpr int64_t input_tiles(const PackedShape& s) { return (s.cols + kTileInputs - 1) / kTileInputs; }

// In device memory; block b's codes begin at codes + b * block_codes, its scales at scales + b * block_scales.
struct DeviceMatrix {
  const std::byte* codes = nullptr;
  const std::byte* scales = nullptr;
  uint32_t block_codes = 0, block_scales = 0;  // bytes
  int32_t rows = 0, cols = 0, group = 0;
  int32_t tiles = 0;
  AffineGrid::Offset offset = AffineGrid::Offset::kSymmetric;

  HALFTONE_HOST_DEVICE int row_blocks() const { return (rows + kBlockRows - 1) / kBlockRows; }
};

// Activations as every product reads them (prepare.h), in device memory: as tensor cores take them. Blocks of 8 tokens;
// of a block and a tile 64 chunks of 16 bytes: lane l of half h has 4 inputs (4 t to 4 t + 3, t = l % 4) of step 2 h
// and of step 2 h + 1, of token l / 4; a step is 16 inputs. And sums of each step's inputs.
struct Prepared {
  const uint16_t* x = nullptr;  // [blocks of tokens][tiles][64 chunks][8] bf16; zeros beyond the columns
  const float* sums = nullptr;  // [blocks of tokens][tiles][8 tokens][4]
  int32_t tiles = 0, tokens = 0;
};
constexpr int kTokenBlock = 8;
constexpr int kTokenBlockChunks = kTokenBlock * kTileInputs / 8;
constexpr int kSumInputs = 16;
constexpr int kTileSums = kTileInputs / kSumInputs;

// Where the first of 4 inputs of a token lies, in numbers.
HALFTONE_HOST_DEVICE int64_t prepared_place(int token, int input, int tiles) {
  const int in_tile = input % kTileInputs, step = in_tile / 16, lane = token % kTokenBlock * 4 + in_tile % 16 / 4;
  const int64_t tile = static_cast<int64_t>(token / kTokenBlock) * tiles + input / kTileInputs;
  return tile * (kTokenBlockChunks * 8) + (step / 2 * 32 + lane) * 8 + step % 2 * 4 + in_tile % 4;
}
HALFTONE_HOST_DEVICE int64_t sum_place(int token, int sum, int tiles) {
  const int64_t tile = static_cast<int64_t>(token / kTokenBlock) * tiles + sum / kTileSums;
  return (tile * kTokenBlock + token % kTokenBlock) * kTileSums + sum % kTileSums;
}

// Products of matrices with the same inputs before their epilogue: out[part][token][row] in float32, to be added over
// the parts; the rows of one matrix after those of the one before.
constexpr int kJoinedMost = 3;
struct Product {
  DeviceMatrix weights[kJoinedMost];  // alike but for codes, scales and rows
  int32_t matrices = 1;
  Prepared x;
  float* out = nullptr;
  int64_t out_stride = 0;  // floats from one token to the next
  int64_t part_stride = 0;
  int32_t pieces = 1;  // of the inputs, each added up for itself and then to those before it

  int row_blocks() const {
    int blocks = 0;
    for (int i = 0; i < matrices; ++i) blocks += weights[i].row_blocks();
    return blocks;
  }
};

// The CUDA side of a weight format; formats.cu is the list.
struct CudaFormat {
  const WeightFormat* format = nullptr;
  // Of one block of 64 rows.
  PackedBytes (*block_bytes)(const PackedShape& shape) = nullptr;
  // Writes one block from up to 64 rows in the format's own layout, in host memory; both images begin zeroed.
  void (*pack_block)(const PackedMatrix& rows, std::byte* codes, std::byte* scales) = nullptr;
  cudaError_t (*multiply)(const Product& product, const product::Plan& plan, cudaStream_t stream) = nullptr;
  // y[t] = row ids[t] as bf16; zeros from *tokens on. y: [rows][stride].
  cudaError_t (*embed)(const DeviceMatrix& weights, const int32_t* ids, const int32_t* tokens, uint16_t* y,
                       int64_t stride, int rows, cudaStream_t stream) = nullptr;
};

std::span<const CudaFormat* const> all_cuda_formats();
const CudaFormat* find_cuda_format(const WeightFormat& format);  // null: none on this device

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
