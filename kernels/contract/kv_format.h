// A KV format: how keys and values are stored in pages. One folder under kernels/kv each; kv.cc is the list.
//
// A page holds T tokens of all layers of one mode. In a layer, head after head:
//   K codes [head_dim][T]      one row for each dimension: scores of neighbouring tokens lie in neighbouring lanes
//   V codes [T][head_dim]
// and after all heads, where the format has scales:
//   scales  [kv_heads][2][T]   f16; first K's, then V's
// A layer ends on 64 bytes. What is left of page_bytes is padding.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace halftone {

struct KvFormat;

struct KvLayout {
  const KvFormat* format = nullptr;
  int64_t layers = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  int64_t page_tokens = 0;   // T: a multiple of 16 and a power of two
  size_t head_bytes = 0;     // K and V codes of one head
  size_t scales_offset = 0;  // in a layer
  size_t layer_bytes = 0;
  size_t page_bytes = 0;  // of the arena; at least layers * layer_bytes

  size_t used_bytes() const { return static_cast<size_t>(layers) * layer_bytes; }
};

struct KvFormat {
  std::string_view name;  // "kv16"
  int64_t default_page_tokens = 16;
  size_t code_bytes = 2;  // of one value
  bool has_scales = false;

  // Stores one head's K and V of one token (after RoPE) at `slot` of a page's layer. Returns how many values were out
  // of range and clamped. k, v: [head_dim].
  int64_t (*store)(const KvLayout& layout, std::byte* layer, int64_t head, int64_t slot, const float* k,
                   const float* v);
  // What was stored, as float32: keys [head_dim][T], values [T][head_dim]; slots that nothing was stored to may hold
  // anything, finite or not.
  void (*load_keys)(const KvLayout& layout, const std::byte* layer, int64_t head, float* out);
  void (*load_values)(const KvLayout& layout, const std::byte* layer, int64_t head, float* out);
  // The same by this machine's instructions, bit for bit; chosen by the CPU device.
  void (*load_keys_avx2)(const KvLayout& layout, const std::byte* layer, int64_t head, float* out);
  void (*load_values_avx2)(const KvLayout& layout, const std::byte* layer, int64_t head, float* out);
};

// page_bytes is the smallest that the layout allows; whoever makes the arena raises it.
KvLayout make_kv_layout(const KvFormat& format, int64_t layers, int64_t kv_heads, int64_t head_dim,
                        int64_t page_tokens);

}  // namespace halftone
