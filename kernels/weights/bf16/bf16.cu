// bf16 on CUDA: numbers, not codes, so nothing is scaled.
#include "kernels/cuda/fragment_format.h"
#include "kernels/cuda/sm80_gemm.h"
#include "kernels/weights/bf16/bf16.h"
#include "kernels/weights/bf16/bf16_cuda.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {
namespace {

struct Bf16MmaCodes {
  static constexpr int kBits = 16;
  static constexpr bool kScaled = false, kHasMinimum = false;

  HALFTONE_DEVICE static void fragment(const uint32_t* words, int step, uint32_t (&a)[4]) {
    HALFTONE_UNROLL
    for (int i = 0; i < 4; ++i) a[i] = words[4 * step + i];
  }
  HALFTONE_DEVICE static float value(uint32_t code) { return f32_from_bf16(static_cast<uint16_t>(code)); }
};

void pack_block(const PackedShape& shape, const WeightRows& rows, std::byte* codes, std::byte*) {
  for (int64_t r = 0; r < rows.rows; ++r) {
    const float* values = &rows.values[static_cast<size_t>(r * rows.cols)];
    for (int64_t c = 0; c < rows.cols; ++c) {
      put_code<Bf16MmaCodes>(shape, r, c, halftone::bf16_from_f32(values[c]), codes);
    }
  }
}

}  // namespace

const CudaFormat kCudaBf16{
    .format = &kBf16,
    .block_bytes = fragment_block_bytes<Bf16MmaCodes>,
    .pack_block = pack_block,
    .multiply = sm80_gemm_m16<Bf16MmaCodes>,
    .embed = embed_by<Bf16MmaCodes>,
};

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
