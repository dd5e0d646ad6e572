// w4 on CUDA: its image in the card's memory, and the embedding.
#include "kernels/contract/numbers.h"
#include "kernels/weights/w4/w4.h"
#include "kernels/weights/w4/w4_cuda.h"
#include "kernels/weights/w4/w4_cuda_tile.h"
#include "kernels/weights/w4/w4_layout.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {
namespace {

using w4::kStripRows;
using namespace w4_tile;

constexpr int kTileCodeBytes = kBlockRows * kTileInputs / 2;
constexpr int kStrips = kBlockRows / kStripRows;

constexpr int kEmbedThreads = 64;

// A block for each token.
HALFTONE_KERNEL void HALFTONE_LAUNCH_BOUNDS(kEmbedThreads, 8)
    w4_embed(DeviceMatrix m, const int32_t* ids, const int32_t* tokens, uint16_t* y, int64_t stride) {
  const int token = static_cast<int>(blockIdx.x), id = token < *tokens ? ids[token] : 0, row = id % kBlockRows;
  const int strip = row / kStripRows, groups = w4::stored_groups(m.tiles, m.group);
  const int numbers = w4::scale_numbers(m.offset), place_of_row = w4::scale_place(row % kStripRows, m.offset);
  const auto* words =
      reinterpret_cast<const uint32_t*>(m.codes + static_cast<uint64_t>(id / kBlockRows) * m.block_codes);
  const auto* scales =
      reinterpret_cast<const uint16_t*>(m.scales + static_cast<uint64_t>(id / kBlockRows) * m.block_scales);
  for (int c = static_cast<int>(threadIdx.x); c < m.cols; c += kEmbedThreads) {
    const w4::FragmentPlace place = w4::fragment_place(row % kStripRows, c % kTileInputs);
    const int tile = strip * m.tiles + c / kTileInputs;
    const uint32_t code = words[(tile * kLanes + place.lane) * kTileSteps + place.step] >> place.shift & 15u;
    const uint16_t* at = scales + (strip * groups + c / m.group) * 8 * numbers + place_of_row;
    const float scale = f32_from_f16(at[0]);
    const float offset = m.offset == Offset::kSymmetric ? 0.0f : f32_from_f16(at[2]);
    const float value = fma(static_cast<float>(code), scale, minimum_of(m.offset, scale, offset));
    y[token * stride + c] = token < *tokens ? bf16_from_f32(value) : uint16_t{0};
  }
}

cudaError_t embed(const DeviceMatrix& m, const int32_t* ids, const int32_t* tokens, uint16_t* y, int64_t stride,
                  int rows, cudaStream_t stream) {
  const LaunchShape shape{dim3(static_cast<unsigned>(rows)), dim3(kEmbedThreads), 0, stream};
  return launch(w4_embed, shape, m, ids, tokens, y, stride);
}

PackedBytes block_bytes(const PackedShape& s) {
  const int tiles = static_cast<int>(input_tiles(s));
  const int numbers = kStrips * w4::stored_groups(tiles, s.group) * 8 * w4::scale_numbers(s.offset);
  return {static_cast<size_t>(tiles) * kTileCodeBytes, static_cast<size_t>(numbers) * sizeof(uint16_t)};
}

void pack_scales(const PackedMatrix& rows, const AffineGroups& in, int64_t r, uint16_t* scales) {
  const AffineGrid::Offset kind = rows.shape.offset;
  const int64_t groups = w4::groups(rows.shape), strip = r / kStripRows;
  const int64_t stored = w4::stored_groups(static_cast<int>(input_tiles(rows.shape)), rows.shape.group);
  for (int64_t g = 0; g < groups; ++g) {
    const size_t from = static_cast<size_t>(r * groups + g);
    uint16_t* at = scales + (strip * stored + g) * 8 * w4::scale_numbers(kind) +
                   w4::scale_place(static_cast<int>(r % kStripRows), kind);
    at[0] = halftone::f16_from_f32(in.scale[from]);
    if (kind == AffineGrid::Offset::kSymmetric) continue;
    float offset = in.minimum[from];
    if (kind == AffineGrid::Offset::kZeroPoint) offset = in.scale[from] != 0 ? -offset / in.scale[from] : 0;
    at[2] = halftone::f16_from_f32(offset);
  }
}

void pack_block(const PackedMatrix& rows, std::byte* codes, std::byte* scales) {
  AffineGroupsBuffer in;
  rows.format->export_rows(rows, 0, rows.shape.rows, &in);
  const int64_t cols = rows.shape.cols, tiles = input_tiles(rows.shape);
  auto* words = reinterpret_cast<uint32_t*>(codes);
  for (int64_t r = 0; r < rows.shape.rows; ++r) {
    for (int64_t c = 0; c < cols; ++c) {
      const w4::FragmentPlace place =
          w4::fragment_place(static_cast<int>(r % kStripRows), static_cast<int>(c % kTileInputs));
      const int64_t tile = r / kStripRows * tiles + c / kTileInputs;
      const uint32_t code = in.codes[static_cast<size_t>(r * cols + c)];
      words[(tile * kLanes + place.lane) * kTileSteps + place.step] |= code << place.shift;
    }
    pack_scales(rows, in.view, r, reinterpret_cast<uint16_t*>(scales));
  }
}

int pieces(const DeviceMatrix& m, int processors) { return w4::plan_pieces(m.row_blocks(), m.tiles, processors); }

int parts(const Product& p) {
  return w4::plan_product(p.weights.row_blocks(), p.x.tokens, p.pieces, p.processors).parts;
}

}  // namespace

const CudaFormat kCudaW4{
    .format = &kW4,
    .block_bytes = block_bytes,
    .pack_block = pack_block,
    .pieces = pieces,
    .parts = parts,
    .multiply = multiply_w4,
    .embed = embed,
};

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
