// What the formats of sm80_gemm.h share beside the GEMM: their image in the GPU's memory, and the embedding.
#pragma once

#include "kernels/contract/numbers.h"
#include "kernels/cuda/sm80_gemm_tile.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {

constexpr int kBlockMTiles = kBlockRows / kMTileRows;
constexpr int kEmbedThreads = 64;

template <typename Codes>
constexpr int64_t kTileWords = int64_t{fragments::tile_loads(Codes::kBits)} * kLanes* fragments::kLoadWords;

template <typename Codes>
HALFTONE_DEVICE float scaled(const DeviceMatrix& m, float value, const uint16_t* scale) {
  if constexpr (!Codes::kScaled) {
    return value;
  } else if constexpr (!Codes::kHasMinimum) {
    return value * f32_from_f16(scale[0]);
  } else {
    const float factor = f32_from_f16(scale[0]);
    const float offset = m.offset == Offset::kSymmetric ? 0.0f : f32_from_f16(scale[2]);
    return fma(value, factor, Codes::minimum(m.offset, factor, offset));
  }
}

// Row ids[t] of the matrix for each token, one CTA each.
template <typename Codes>
HALFTONE_KERNEL void HALFTONE_LAUNCH_BOUNDS(kEmbedThreads, 8) embed_kernel(DeviceMatrix m, DeviceEmbed call) {
  const int token = static_cast<int>(blockIdx.x), id = token < *call.tokens ? call.ids[token] : 0,
            row = id % kBlockRows;
  const int m_tile = row / kMTileRows, m_tile_row = row % kMTileRows, block = id / kBlockRows;
  const auto* words = reinterpret_cast<const uint32_t*>(m.codes + static_cast<uint64_t>(block) * m.block_codes) +
                      m_tile * m.tiles * kTileWords<Codes>;
  const auto* scales = reinterpret_cast<const uint16_t*>(m.scales + static_cast<uint64_t>(block) * m.block_scales);
  int group_numbers = 0;
  if constexpr (Codes::kScaled) {
    group_numbers = 8 * fragments::scale_numbers(m.offset);
    scales += static_cast<int64_t>(m_tile) * fragments::stored_groups(m.tiles, m.group) * group_numbers +
              fragments::scale_index(m_tile_row, m.offset);
  }
  for (int c = static_cast<int>(threadIdx.x); c < m.cols; c += kEmbedThreads) {
    const fragments::BitAddress at = fragments::bit_address(Codes::kBits, m_tile_row, c);
    const uint32_t code = words[at.word] >> at.shift & ((1u << Codes::kBits) - 1);
    const int group = Codes::kScaled ? c / m.group : 0;
    const float value = scaled<Codes>(m, Codes::value(code), scales + group * group_numbers);
    call.y[token * call.stride + c] = token < *call.tokens ? bf16_from_f32(value * call.scale) : uint16_t{0};
  }
}

template <typename Codes>
cudaError_t embed_by(const DeviceMatrix& m, const DeviceEmbed& call, cudaStream_t stream) {
  const LaunchShape shape{dim3(static_cast<unsigned>(call.rows)), dim3(kEmbedThreads), 0, stream};
  return launch(embed_kernel<Codes>, shape, m, call);
}

template <typename Codes>
PackedBytes fragment_block_bytes(const PackedShape& s) {
  const int64_t tiles = input_tiles(s);
  int64_t numbers = 0;
  if constexpr (Codes::kScaled) {
    numbers = int64_t{kBlockMTiles} * fragments::stored_groups(static_cast<int>(tiles), s.group) * 8 *
              fragments::scale_numbers(s.offset);
  }
  return {static_cast<size_t>(kBlockMTiles * tiles * kTileWords<Codes>) * sizeof(uint32_t),
          static_cast<size_t>(numbers) * sizeof(uint16_t)};
}

// Of row r of a block; the image begins zeroed.
template <typename Codes>
void put_code(const PackedShape& s, int64_t r, int64_t c, uint32_t code, std::byte* codes) {
  const fragments::BitAddress at = fragments::bit_address(Codes::kBits, static_cast<int>(r % kMTileRows), c);
  auto* words = reinterpret_cast<uint32_t*>(codes) + r / kMTileRows * input_tiles(s) * kTileWords<Codes>;
  words[at.word] |= code << at.shift;
}

inline void put_scale(const PackedShape& s, const WeightRows& in, int64_t r, int64_t g, uint16_t* scales) {
  const int stored = fragments::stored_groups(static_cast<int>(input_tiles(s)), s.group);
  const size_t from = static_cast<size_t>(r * in.groups() + g);
  uint16_t* at = scales + (r / kMTileRows * stored + g) * 8 * fragments::scale_numbers(s.offset) +
                 fragments::scale_index(static_cast<int>(r % kMTileRows), s.offset);
  at[0] = halftone::f16_from_f32(in.scale[from]);
  if (s.offset == Offset::kSymmetric) return;
  float offset = in.minimum[from];
  if (s.offset == Offset::kZeroPoint) offset = in.scale[from] != 0 ? -offset / in.scale[from] : 0;
  at[2] = halftone::f16_from_f32(offset);
}

template <typename Codes>
void pack_affine_block(const PackedShape& s, const WeightRows& in, std::byte* codes, std::byte* scales) {
  for (int64_t r = 0; r < in.rows; ++r) {
    const uint8_t* row = &in.codes[static_cast<size_t>(r * s.cols)];
    for (int64_t c = 0; c < s.cols; ++c) put_code<Codes>(s, r, c, row[c] ^ Codes::kFlip, codes);
    for (int64_t g = 0; g < in.groups(); ++g) put_scale(s, in, r, g, reinterpret_cast<uint16_t*>(scales));
  }
}

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
