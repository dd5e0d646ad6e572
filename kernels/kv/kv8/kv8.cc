#include "kernels/kv/kv8/kv8.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/contract/numbers.h"
#include "kernels/kv/page_offsets.h"

namespace halftone {
namespace {

constexpr float kMaxCode = 127.0f;
constexpr float kMaxValue = kMaxCode * kF16Max;  // 8319008, a float exactly

// |x| below 2^22: adding 1.5 * 2^23 leaves no room for a fraction, and rounds half to even.
float round_half_even(float x) { return (x + 0x1.8p23f) - 0x1.8p23f; }

struct Range {
  float amax = 0;
  int64_t clamped = 0;
};

Range range_of(const float* values, int64_t count) {
  Range range;
  bool nan = false;
  for (int64_t i = 0; i < count; ++i) {
    const float magnitude = std::fabs(values[i]);
    nan |= magnitude != magnitude;
    range.clamped += magnitude > kMaxValue;
    range.amax = std::max(range.amax, std::min(magnitude, kMaxValue));
  }
  if (nan) range.amax = std::numeric_limits<float>::quiet_NaN();
  return range;
}

uint16_t scale_of(float amax) {
  const uint16_t nearest = f16_from_f32(amax / kMaxCode);
  if (amax == 0) return nearest;
  // A quotient by a scale that was rounded down to zero is infinite: one step up as well.
  return amax / f32_from_f16(nearest) >= kMaxCode + 0.5f ? static_cast<uint16_t>(nearest + 1) : nearest;
}

// Writes code i to codes + i * stride, and the scale. Returns how many values were clamped.
int64_t store_vector(const float* values, int64_t count, std::byte* codes, int64_t stride, std::byte* scale) {
  const Range range = range_of(values, count);
  const uint16_t bits = scale_of(range.amax);
  std::memcpy(scale, &bits, 2);
  const float step = f32_from_f16(bits);
  const bool has_codes = step > 0;  // false where the scale is NaN, too
  for (int64_t i = 0; i < count; ++i) {
    const float x = std::clamp(values[i], -kMaxValue, kMaxValue);
    const int code = has_codes ? static_cast<int>(round_half_even(x / step)) : 0;
    codes[i * stride] = static_cast<std::byte>(static_cast<int8_t>(code));
  }
  return range.clamped;
}

int64_t store(const KvLayer& layer, std::byte* data, int64_t head, int64_t slot, const float* k, const float* v) {
  std::byte* keys = const_cast<std::byte*>(kv_keys(layer, data, head));
  std::byte* values = const_cast<std::byte*>(kv_values(layer, data, head));
  std::byte* key_scales = const_cast<std::byte*>(kv_key_scales(layer, data, head));
  std::byte* value_scales = const_cast<std::byte*>(kv_value_scales(layer, data, head));
  return store_vector(k, layer.head_dim, keys + slot, layer.page_tokens, key_scales + slot * 2) +
         store_vector(v, layer.head_dim, values + slot * layer.head_dim, 1, value_scales + slot * 2);
}

float scale_at(const std::byte* scales, int64_t slot) {
  uint16_t bits;
  std::memcpy(&bits, scales + slot * 2, 2);
  return f32_from_f16(bits);
}

float code_at(const std::byte* codes, int64_t i) { return static_cast<float>(static_cast<int8_t>(codes[i])); }

void load_keys(const KvLayer& layer, const std::byte* data, int64_t head, float* out) {
  const std::byte* codes = kv_keys(layer, data, head);
  const std::byte* scales = kv_key_scales(layer, data, head);
  for (int64_t slot = 0; slot < layer.page_tokens; ++slot) {
    const float scale = scale_at(scales, slot);
    for (int64_t d = 0; d < layer.head_dim; ++d) {
      const int64_t i = d * layer.page_tokens + slot;
      out[i] = code_at(codes, i) * scale;
    }
  }
}

void load_values(const KvLayer& layer, const std::byte* data, int64_t head, float* out) {
  const std::byte* codes = kv_values(layer, data, head);
  const std::byte* scales = kv_value_scales(layer, data, head);
  for (int64_t slot = 0; slot < layer.page_tokens; ++slot) {
    const float scale = scale_at(scales, slot);
    for (int64_t i = slot * layer.head_dim; i < (slot + 1) * layer.head_dim; ++i) {
      out[i] = code_at(codes, i) * scale;
    }
  }
}

}  // namespace

const KvFormat kKv8 = {
    .name = "kv8",
    .default_page_tokens = 32,
    .code_bytes = 1,
    .has_scales = true,
    .store = store,
    .load_keys = load_keys,
    .load_values = load_values,
    .load_keys_avx2 = kv8_load_keys_avx2,
    .load_values_avx2 = kv8_load_values_avx2,
};

}  // namespace halftone
