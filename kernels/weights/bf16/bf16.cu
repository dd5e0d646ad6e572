// bf16 on CUDA, in the layout of kernels/cuda/simt_product.h: a piece is 8 values.
#include "kernels/weights/bf16/bf16_cuda.h"

#include <vector>

#include "kernels/contract/numbers.h"
#include "kernels/cuda/simt_product.h"
#include "kernels/weights/bf16/bf16.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {
namespace {

struct Bf16Pieces {
  static constexpr int kInputs = 8;
  static constexpr bool kHasScales = false;
  HALFTONE_DEVICE static void decode(const Bytes16& piece, float* values) {
    const uint32_t words[] = {piece.x, piece.y, piece.z, piece.w};
    for (int i = 0; i < 4; ++i) {
      values[2 * i] = f32_from_bf16(static_cast<uint16_t>(words[i]));
      values[2 * i + 1] = f32_from_bf16(static_cast<uint16_t>(words[i] >> 16));
    }
  }
};

PackedBytes block_bytes(const PackedShape& s) {
  return {static_cast<size_t>(input_tiles(s)) * kTileInputs * kBlockRows * sizeof(uint16_t), 0};
}

void pack_block(const PackedMatrix& rows, std::byte* codes, std::byte*) {
  const int64_t cols = rows.shape.cols;
  std::vector<float> values(static_cast<size_t>(cols));
  auto* out = reinterpret_cast<uint16_t*>(codes);
  for (int64_t r = 0; r < rows.shape.rows; ++r) {
    rows.format->unpack_rows(rows, r, 1, values.data());
    for (int64_t c = 0; c < cols; ++c) {
      const int64_t piece = c / Bf16Pieces::kInputs, i = c % Bf16Pieces::kInputs;
      out[(piece * kBlockRows + r) * Bf16Pieces::kInputs + i] = halftone::bf16_from_f32(values[static_cast<size_t>(c)]);
    }
  }
}

}  // namespace

const CudaFormat kCudaBf16{
    .format = &kBf16,
    .block_bytes = block_bytes,
    .pack_block = pack_block,
    .pieces = one_piece,
    .parts = one_part,
    .multiply = multiply_simt<Bf16Pieces>,
    .embed = embed_simt<Bf16Pieces>,
};

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
