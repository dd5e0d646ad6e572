// w8 on CUDA, in the layout of kernels/cuda/simt_product.h: a piece is 16 signed codes, scales are f16.
#include <vector>

#include "kernels/contract/numbers.h"
#include "kernels/cuda/simt_product.h"
#include "kernels/weights/w8/w8.h"
#include "kernels/weights/w8/w8_cuda.h"
#include "kernels/weights/w8/w8_layout.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {
namespace {

struct W8Pieces {
  static constexpr int kInputs = 16;
  static constexpr bool kHasScales = true;
  HALFTONE_DEVICE static void decode(const Bytes16& piece, float* values) {
    const uint32_t words[] = {piece.x, piece.y, piece.z, piece.w};
    for (int i = 0; i < kInputs; ++i) {
      values[i] = static_cast<float>(static_cast<int8_t>(words[i / 4] >> (i % 4 * 8)));
    }
  }
};

PackedBytes block_bytes(const PackedShape& s) {
  return {static_cast<size_t>(input_tiles(s)) * kTileInputs * kBlockRows,
          static_cast<size_t>(w8::groups(s)) * kBlockRows * sizeof(uint16_t)};
}

void pack_block(const PackedMatrix& rows, std::byte* codes, std::byte* scales) {
  AffineGroupsBuffer in;
  rows.format->export_rows(rows, 0, rows.shape.rows, &in);
  const int64_t cols = rows.shape.cols, groups = w8::groups(rows.shape);
  for (int64_t r = 0; r < rows.shape.rows; ++r) {
    for (int64_t c = 0; c < cols; ++c) {
      const int64_t at = (c / W8Pieces::kInputs * kBlockRows + r) * W8Pieces::kInputs + c % W8Pieces::kInputs;
      codes[at] = static_cast<std::byte>(in.codes[static_cast<size_t>(r * cols + c)] ^ 0x80);
    }
    for (int64_t g = 0; g < groups; ++g) {
      reinterpret_cast<uint16_t*>(scales)[g * kBlockRows + r] =
          halftone::f16_from_f32(in.scale[static_cast<size_t>(r * groups + g)]);
    }
  }
}

}  // namespace

const CudaFormat kCudaW8{
    .format = &kW8,
    .block_bytes = block_bytes,
    .pack_block = pack_block,
    .pieces = one_piece,
    .parts = one_part,
    .multiply = multiply_simt<W8Pieces>,
    .embed = embed_simt<W8Pieces>,
};

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
