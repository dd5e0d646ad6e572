// A product in plain multiply-adds, for formats without a kernel of their own on tensor cores. A thread for each
// output, eight tokens at once; weights are read in 16-byte pieces, neighbouring rows by neighbouring threads:
//   codes of a block of 64 rows   [tiles][pieces of a tile][64 rows][16 bytes]
//   its scales                    f16 [groups][64 rows]
// Bound: the weights' bytes for few tokens, the multiply-adds of plain cores from about 8 on. One order for each
// output: ascending inputs, one fma each.
#pragma once

#include "kernels/cuda/matrix.h"
#include "kernels/cuda/primitives/barriers.h"
#include "kernels/cuda/primitives/memory.h"
#include "kernels/cuda/primitives/numbers.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {

constexpr int kSimtTokens = 8;
constexpr int kPieceBytes = 16;

// Format: kInputs values in a piece; kHasScales; decode(piece, values).
template <typename Format>
constexpr int kPieces = kTileInputs / Format::kInputs;

// The scale of the piece that begins at input `first`; 1 without scales.
template <typename Format>
HALFTONE_DEVICE float piece_scale(const DeviceMatrix& m, const std::byte* scales, int first, int row) {
  if constexpr (!Format::kHasScales) return 1.0f;
  const auto* halves = reinterpret_cast<const uint16_t*>(scales);
  return f32_from_f16(halves[first / m.group * kBlockRows + row]);
}

// x of eight tokens and one tile of inputs, as float32: [tokens][tile].
HALFTONE_DEVICE void load_tile(const Prepared& x, int first_token, int tile, float* shared) {
  constexpr int kFours = kTileInputs / 4;
  for (int i = static_cast<int>(threadIdx.x); i < kSimtTokens * kFours; i += kBlockRows) {
    const int token = first_token + i / kFours, at = i % kFours * 4;
    const uint16_t* from = x.x + prepared_place(token, tile * kTileInputs + at, x.tiles);
    for (int c = 0; c < 4; ++c) {
      shared[i / kFours * kTileInputs + at + c] = token < x.tokens ? f32_from_bf16(from[c]) : 0.0f;
    }
  }
}

// Grid: (blocks of rows, eights of tokens).
template <typename Format>
HALFTONE_KERNEL void HALFTONE_LAUNCH_BOUNDS(kBlockRows, 6) simt_product(Product p) {
  float* x = dynamic_shared<float>();
  const DeviceMatrix& m = p.weights;
  const int row = static_cast<int>(threadIdx.x), first_token = static_cast<int>(blockIdx.y) * kSimtTokens;
  const std::byte* codes = m.codes + static_cast<uint64_t>(blockIdx.x) * m.block_codes + row * kPieceBytes;
  const std::byte* scales = m.scales + static_cast<uint64_t>(blockIdx.x) * m.block_scales;
  float sums[kSimtTokens] = {};
  Bytes16 ahead[kPieces<Format>];  // of the next tile
  auto load = [&](int tile) {
    HALFTONE_UNROLL
    for (int piece = 0; piece < kPieces<Format>; ++piece) {
      const int64_t at = static_cast<int64_t>(tile * kPieces<Format> + piece) * kBlockRows * kPieceBytes;
      ahead[piece] = load_16_once(codes + at);
    }
  };
  load(0);
  for (int tile = 0; tile < m.tiles; ++tile) {
    Bytes16 pieces[kPieces<Format>];
    HALFTONE_UNROLL
    for (int piece = 0; piece < kPieces<Format>; ++piece) pieces[piece] = ahead[piece];
    if (tile + 1 < m.tiles) load(tile + 1);
    load_tile(p.x, first_token, tile, x);
    block_barrier();
    HALFTONE_UNROLL
    for (int piece = 0; piece < kPieces<Format>; ++piece) {
      const int first = tile * kTileInputs + piece * Format::kInputs;
      if (first >= m.cols) break;
      float values[Format::kInputs];
      Format::decode(pieces[piece], values);
      const float scale = piece_scale<Format>(m, scales, first, row);
      HALFTONE_UNROLL
      for (int i = 0; i < Format::kInputs; ++i) {
        const float weight = values[i] * scale;
        HALFTONE_UNROLL
        for (int t = 0; t < kSimtTokens; ++t) {
          sums[t] = fma(weight, x[t * kTileInputs + piece * Format::kInputs + i], sums[t]);
        }
      }
    }
    block_barrier();
  }
  const int out_row = static_cast<int>(blockIdx.x) * kBlockRows + row;
  for (int t = 0; t < kSimtTokens; ++t) {
    if (out_row < m.rows && first_token + t < p.x.tokens) {
      p.out[static_cast<int64_t>(first_token + t) * p.out_stride + out_row] = sums[t];
    }
  }
}

template <typename Format>
cudaError_t multiply_simt(const Product& p, cudaStream_t stream) {
  const unsigned blocks = static_cast<unsigned>(p.weights.row_blocks());
  const unsigned tokens = static_cast<unsigned>((p.x.tokens + kSimtTokens - 1) / kSimtTokens);
  const LaunchShape shape{dim3(blocks, tokens), dim3(kBlockRows), kSimtTokens * kTileInputs * sizeof(float), stream};
  return launch(simt_product<Format>, shape, p);
}

inline int one_piece(const DeviceMatrix&, int) { return 1; }
inline int one_part(const Product&) { return 1; }

// Row ids[t] of the matrix for each token, a block each.
template <typename Format>
HALFTONE_KERNEL void HALFTONE_LAUNCH_BOUNDS(kBlockRows, 8)
    simt_embed(DeviceMatrix m, const int32_t* ids, const int32_t* tokens, uint16_t* y, int64_t stride) {
  const int token = static_cast<int>(blockIdx.x);
  const int id = token < *tokens ? ids[token] : 0;
  const int row = id % kBlockRows;
  const std::byte* codes = m.codes + static_cast<uint64_t>(id / kBlockRows) * m.block_codes + row * kPieceBytes;
  const std::byte* scales = m.scales + static_cast<uint64_t>(id / kBlockRows) * m.block_scales;
  for (int first = static_cast<int>(threadIdx.x) * Format::kInputs; first < m.cols;
       first += kBlockRows * Format::kInputs) {
    float values[Format::kInputs];
    Format::decode(load_16(codes + static_cast<int64_t>(first / Format::kInputs) * kBlockRows * kPieceBytes), values);
    const float scale = piece_scale<Format>(m, scales, first, row);
    for (int i = 0; i < Format::kInputs && first + i < m.cols; ++i) {
      y[token * stride + first + i] = token < *tokens ? bf16_from_f32(values[i] * scale) : uint16_t{0};
    }
  }
}

template <typename Format>
cudaError_t embed_simt(const DeviceMatrix& m, const int32_t* ids, const int32_t* tokens, uint16_t* y, int64_t stride,
                       int rows, cudaStream_t stream) {
  const LaunchShape shape{dim3(static_cast<unsigned>(rows)), dim3(kBlockRows), 0, stream};
  return launch(simt_embed<Format>, shape, m, ids, tokens, y, stride);
}

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
