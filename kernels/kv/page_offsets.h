// Addresses of one head's keys, values and scales in a layer of a page (drawn in kernels/contract/kv_format.h). Any
// thread. Internal linkage on purpose: files of other instruction sets must not share compiled copies.
#pragma once

#include "kernels/contract/kv_format.h"

namespace halftone {

static inline int64_t kv_values_per_head(const KvLayer& layer) { return layer.head_dim * layer.page_tokens; }

static inline const std::byte* kv_keys(const KvLayer& layer, const std::byte* data, int64_t head) {
  return data + static_cast<size_t>(head) * layer.head_bytes;
}

static inline const std::byte* kv_values(const KvLayer& layer, const std::byte* data, int64_t head) {
  return data + static_cast<size_t>(head) * layer.head_bytes + layer.head_bytes / 2;
}

// [page_tokens] f16, of the keys or of the values.
static inline const std::byte* kv_key_scales(const KvLayer& layer, const std::byte* data, int64_t head) {
  return data + layer.scales_offset + static_cast<size_t>(head * 2 * layer.page_tokens) * 2;
}

static inline const std::byte* kv_value_scales(const KvLayer& layer, const std::byte* data, int64_t head) {
  return data + layer.scales_offset + static_cast<size_t>((head * 2 + 1) * layer.page_tokens) * 2;
}

}  // namespace halftone
