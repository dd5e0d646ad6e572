// One layer of a page in a KV format, to store to and load from.
#pragma once

#include <vector>

#include "kernels/contract/device.h"

namespace halftone::test {

class KvPage {
 public:
  KvPage(const KvFormat& format, int64_t kv_heads, int64_t head_dim, int64_t page_tokens);

  const KvLayer& layout() const { return layout_.layers[0]; }
  // k, v: [head_dim]. Returns how many values were clamped.
  int64_t store(int64_t head, int64_t slot, const std::vector<float>& k, const std::vector<float>& v);
  // [head_dim] of one slot, as the format's scalar loads read it.
  std::vector<float> key(int64_t head, int64_t slot) const;
  std::vector<float> value(int64_t head, int64_t slot) const;
  // [head_dim][T] and [T][head_dim].
  std::vector<float> keys(int64_t head, bool avx2) const;
  std::vector<float> values(int64_t head, bool avx2) const;
  std::byte* layer() { return bytes_.data() + kGuard; }
  // Whether anything was written before or behind the layer.
  bool guards_are_untouched() const;

 private:
  static constexpr size_t kGuard = 64;

  KvLayout layout_;
  std::vector<std::byte> bytes_;
};

}  // namespace halftone::test
