// kv8 on CUDA: the rule of kernels/kv/kv8/kv8.h, in the same pages.
#include "kernels/cuda/attention_kernel.h"
#include "kernels/cuda/primitives/numbers.h"
#include "kernels/cuda/primitives/warp.h"
#include "kernels/cuda/rope_store_kernel.h"
#include "kernels/kv/kv8/kv8.h"
#include "kernels/kv/kv8/kv8_cuda.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {
namespace {

struct Kv8Pages {
  using Code = int8_t;
  static constexpr bool kHasScales = true;
  static constexpr float kMaxCode = 127.0f, kMaxValue = kMaxCode * 65504.0f;

  // Of all values of a token's key or value.
  HALFTONE_DEVICE static float scale(const std::byte* page, const DeviceKv& kv, int head, int is_value, int slot) {
    const auto* scales = reinterpret_cast<const uint16_t*>(page + kv.scales_offset);
    return f32_from_f16(scales[(head * 2 + is_value) * kv.page_tokens + slot]);
  }
  HALFTONE_DEVICE static float value(Code code, float scale) { return static_cast<float>(code) * scale; }

  // By one warp: `count` floats to codes[i * stride], and their scale. Returns how many values this lane clamped.
  HALFTONE_DEVICE static int store(const float* values, int count, Code* codes, int stride, uint16_t* scale) {
    int clamped = 0;
    float amax = 0;
    bool nan = false;
    for (int i = static_cast<int>(threadIdx.x); i < count; i += 32) {
      const float magnitude = values[i] < 0 ? -values[i] : values[i];
      nan = nan || magnitude != magnitude;
      clamped += magnitude > kMaxValue ? 1 : 0;
      if (magnitude > amax) amax = magnitude;
    }
    amax = reduce_max(amax < kMaxValue ? amax : kMaxValue);
    const uint16_t bits = any(nan) ? uint16_t{0x7e00} : scale_of(amax);
    const float step = f32_from_f16(bits);
    for (int i = static_cast<int>(threadIdx.x); i < count; i += 32) {
      float x = values[i];
      x = x > kMaxValue ? kMaxValue : x < -kMaxValue ? -kMaxValue : x;
      codes[i * stride] = step > 0 ? static_cast<Code>(round_half_even(x / step)) : Code{0};
    }
    if (threadIdx.x == 0) *scale = bits;
    return clamped;
  }

 private:
  HALFTONE_DEVICE static float round_half_even(float x) { return (x + 0x1.8p23f) - 0x1.8p23f; }
  HALFTONE_DEVICE static uint16_t scale_of(float amax) {
    const uint16_t nearest = f16_from_f32(amax / kMaxCode);
    if (amax == 0) return nearest;
    return amax / f32_from_f16(nearest) >= kMaxCode + 0.5f ? static_cast<uint16_t>(nearest + 1) : nearest;
  }
};

}  // namespace

const CudaKvFormat kCudaKv8{
    .format = &kKv8, .rope_store = rope::rope_store<Kv8Pages>, .attention = attention::attend<Kv8Pages>};

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
