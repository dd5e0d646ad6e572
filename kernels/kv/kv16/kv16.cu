// kv16 on CUDA: halves, in the same pages as everywhere (kernels/contract/kv_format.h).
#include "kernels/cuda/attention_kernel.h"
#include "kernels/cuda/primitives/numbers.h"
#include "kernels/cuda/primitives/warp.h"
#include "kernels/cuda/rope_store_kernel.h"
#include "kernels/kv/kv16/kv16.h"
#include "kernels/kv/kv16/kv16_cuda.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {
namespace {

struct Kv16Pages {
  using Code = uint16_t;
  static constexpr bool kHasScales = false;

  HALFTONE_DEVICE static float value(Code code, float) { return f32_from_f16(code); }

  // By one warp: `count` floats to codes[i * stride]. Returns how many values this lane clamped.
  HALFTONE_DEVICE static int store(const float* values, int count, Code* codes, int stride, uint16_t*) {
    constexpr float kMost = 65504.0f;
    int clamped = 0;
    for (int i = static_cast<int>(threadIdx.x); i < count; i += 32) {
      float x = values[i];
      clamped += x > kMost || x < -kMost ? 1 : 0;
      x = x > kMost ? kMost : x < -kMost ? -kMost : x;
      codes[i * stride] = f16_from_f32(x);
    }
    return clamped;
  }
};

}  // namespace

const CudaKvFormat kCudaKv16{
    .format = &kKv16, .rope_store = rope::rope_store<Kv16Pages>, .attention = attention::attend<Kv16Pages>};

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
