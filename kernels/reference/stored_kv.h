// What a sequence's pages hold for one head, laid out by position: for the reference only. Any thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "kernels/contract/check.h"
#include "kernels/contract/device.h"

namespace halftone::reference {

struct StoredHead {
  std::vector<float> keys, values;  // [positions][head_dim]
};

// Positions [0, positions) of KV head `head`, as the format's scalar loads read them.
inline StoredHead load_stored_head(const KvTarget& kv, const AttentionSequence& sequence, int64_t head,
                                   int64_t positions) {
  const KvLayer& layer = kv.shape();
  const KvFormat& format = *kv.layout->format;
  const int64_t head_dim = layer.head_dim, page_tokens = layer.page_tokens;
  StoredHead stored;
  stored.keys.resize(static_cast<size_t>(positions * head_dim));
  stored.values.resize(static_cast<size_t>(positions * head_dim));
  std::vector<float> keys(static_cast<size_t>(head_dim * page_tokens)), values(keys.size());
  for (int64_t first = 0; first < positions; first += page_tokens) {
    const size_t index = static_cast<size_t>(first / page_tokens);
    HALFTONE_CHECK(index < sequence.pages.size());
    const std::byte* data = kv.at(sequence.pages[index]);
    format.load_keys(layer, data, head, keys.data());
    format.load_values(layer, data, head, values.data());
    for (int64_t slot = 0; slot < std::min(page_tokens, positions - first); ++slot) {
      for (int64_t d = 0; d < head_dim; ++d) {
        const size_t to = static_cast<size_t>((first + slot) * head_dim + d);
        stored.keys[to] = keys[static_cast<size_t>(d * page_tokens + slot)];
        stored.values[to] = values[static_cast<size_t>(slot * head_dim + d)];
      }
    }
  }
  return stored;
}

// The positions that a token at `position` sees: [first_visible, position].
inline int64_t first_visible(int64_t position, int64_t window) {
  return window > 0 ? std::max<int64_t>(0, position - window + 1) : 0;
}

}  // namespace halftone::reference
