// A KV format: how keys and values are stored in pages. One folder under kernels/kv each; kv.cc is the list.
//
// A page holds T tokens of all layers of one mode, layer after layer; layers may differ in heads and their size. In a
// layer, head after head:
//   K codes [head_dim][T]      one row for each dimension: scores of neighbouring tokens lie in neighbouring lanes
//   V codes [T][head_dim]
// and after all heads, where the format has scales:
//   scales  [kv_heads][2][T]   f16; first K's, then V's
// A layer ends on 64 bytes. What is left of page_bytes is padding.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace halftone {

struct KvFormat;

struct KvLayerShape {
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
};

// How one layer lies in a page.
struct KvLayer {
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  int64_t page_tokens = 0;   // T, the same in all layers
  size_t offset = 0;         // in the page
  size_t head_bytes = 0;     // K and V codes of one head
  size_t scales_offset = 0;  // in the layer: all codes lie before it
  size_t bytes = 0;
};

struct KvLayout {
  const KvFormat* format = nullptr;
  int64_t page_tokens = 0;  // T: a multiple of 16 and a power of two
  std::vector<KvLayer> layers = {};
  size_t page_bytes = 0;  // of the arena; at least used_bytes()

  // Where the last layer ends.
  size_t used_bytes() const { return layers.empty() ? 0 : layers.back().offset + layers.back().bytes; }
  // Of all layers, without scales and padding.
  size_t code_bytes() const {
    size_t bytes = 0;
    for (const KvLayer& layer : layers) bytes += layer.scales_offset;
    return bytes;
  }
};

struct KvFormat {
  std::string_view name;  // "kv16"
  int64_t default_page_tokens = 16;
  size_t code_bytes = 2;  // of one value
  bool has_scales = false;

  // Stores one head's K and V of one token (after RoPE) at `slot` of a page's layer, which begins at `data`. Returns
  // how many values were out of range and clamped. k, v: [head_dim].
  int64_t (*store)(const KvLayer& layer, std::byte* data, int64_t head, int64_t slot, const float* k, const float* v);
  // What was stored, as float32: keys [head_dim][T], values [T][head_dim]; slots that nothing was stored to may hold
  // anything, finite or not.
  void (*load_keys)(const KvLayer& layer, const std::byte* data, int64_t head, float* out);
  void (*load_values)(const KvLayer& layer, const std::byte* data, int64_t head, float* out);
  // The same by this machine's instructions, bit for bit; chosen by the CPU device.
  void (*load_keys_avx2)(const KvLayer& layer, const std::byte* data, int64_t head, float* out);
  void (*load_values_avx2)(const KvLayer& layer, const std::byte* data, int64_t head, float* out);
};

// page_bytes is the smallest that the layout allows; whoever makes the arena raises it.
KvLayout make_kv_layout(const KvFormat& format, std::span<const KvLayerShape> layers, int64_t page_tokens);
// Of `layers` layers of one shape.
KvLayout make_kv_layout(const KvFormat& format, int64_t layers, int64_t kv_heads, int64_t head_dim,
                        int64_t page_tokens);

}  // namespace halftone
