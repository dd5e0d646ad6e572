#include "kernels/kv/kv16/kv16.h"

#include <cstring>

#include "kernels/contract/numbers.h"
#include "kernels/kv/page_offsets.h"

namespace halftone {
namespace {

struct Halved {
  uint16_t bits;
  bool clamped;
};

Halved to_half(float value) {
  if (value > kF16Max) return {f16_from_f32(kF16Max), true};
  if (value < -kF16Max) return {f16_from_f32(-kF16Max), true};
  return {f16_from_f32(value), false};
}

// Writes element i to out + i * stride halves.
int64_t store_halves(const float* values, int64_t count, std::byte* out, int64_t stride) {
  int64_t clamped = 0;
  for (int64_t i = 0; i < count; ++i) {
    const Halved half = to_half(values[i]);
    clamped += half.clamped;
    std::memcpy(out + i * stride * 2, &half.bits, 2);
  }
  return clamped;
}

int64_t store(const KvLayer& layer, std::byte* data, int64_t head, int64_t slot, const float* k, const float* v) {
  std::byte* keys = const_cast<std::byte*>(kv_keys(layer, data, head));
  std::byte* values = const_cast<std::byte*>(kv_values(layer, data, head));
  return store_halves(k, layer.head_dim, keys + slot * 2, layer.page_tokens) +
         store_halves(v, layer.head_dim, values + slot * layer.head_dim * 2, 1);
}

void load(const std::byte* halves, int64_t count, float* out) {
  for (int64_t i = 0; i < count; ++i) {
    uint16_t bits;
    std::memcpy(&bits, halves + i * 2, 2);
    out[i] = f32_from_f16(bits);
  }
}

void load_keys(const KvLayer& layer, const std::byte* data, int64_t head, float* out) {
  load(kv_keys(layer, data, head), kv_values_per_head(layer), out);
}

void load_values(const KvLayer& layer, const std::byte* data, int64_t head, float* out) {
  load(kv_values(layer, data, head), kv_values_per_head(layer), out);
}

}  // namespace

const KvFormat kKv16 = {
    .name = "kv16",
    .default_page_tokens = 16,
    .code_bytes = 2,
    .has_scales = false,
    .store = store,
    .load_keys = load_keys,
    .load_values = load_values,
    .load_keys_avx2 = kv16_load_keys_avx2,
    .load_values_avx2 = kv16_load_values_avx2,
};

}  // namespace halftone
