// w8 on CUDA: signed integers, no minimum.
#include "kernels/cuda/fragment_format.h"
#include "kernels/cuda/sm80_gemm.h"
#include "kernels/weights/w8/w8.h"
#include "kernels/weights/w8/w8_cuda.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {
namespace {

struct W8MmaCodes {
  static constexpr int kBits = 8;
  static constexpr bool kScaled = true, kHasMinimum = false;
  static constexpr uint32_t kFlip = 0x80;  // exported codes count from -128

  // Two codes, the low bytes of the word's halves, as bf16 numbers: their last seven bits are the mantissa of 128 to
  // 255, and with the sign as the exponent's last bit 128 becomes 256, what a negative one lies above.
  HALFTONE_DEVICE static uint32_t pair(uint32_t word) {
    constexpr uint32_t k128 = 0x43004300u, kMinusOne = 0xbf80bf80u;
    return bf16x2_fma(and_or(word, 0x00800080u, k128), kMinusOne, and_or(word, 0x007f007fu, k128));
  }
  HALFTONE_DEVICE static void fragment(const uint32_t* words, int step, uint32_t (&a)[4]) {
    const uint32_t low = words[2 * step], high = words[2 * step + 1];
    a[0] = pair(low), a[1] = pair(low >> 8), a[2] = pair(high), a[3] = pair(high >> 8);
  }
  HALFTONE_DEVICE static float value(uint32_t code) { return static_cast<float>(static_cast<int8_t>(code)); }
};

}  // namespace

const CudaFormat kCudaW8{
    .format = &kW8,
    .block_bytes = fragment_block_bytes<W8MmaCodes>,
    .pack_block = pack_affine_block<W8MmaCodes>,
    .multiply = sm80_gemm_m16<W8MmaCodes>,
    .embed = embed_by<W8MmaCodes>,
};

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
