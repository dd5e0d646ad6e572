// What a step is made of, in device memory: written by one copy at its beginning, read by every kernel of it, so that a
// recorded graph serves any batch of its size.
#pragma once

#include <cstdint>

#include "kernels/cuda/launch.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {

struct DeviceBatch {
  const int32_t* tokens = nullptr;      // [1]: how many of the rows are tokens
  const int32_t* ids = nullptr;         // [rows]
  const int32_t* positions = nullptr;   // [rows]
  const int32_t* page_begin = nullptr;  // [rows]: where its sequence's pages begin in `pages`
  const int32_t* pages = nullptr;
};

// KV pages of one layer, as kernels see them.
struct DeviceKv {
  std::byte* layer = nullptr;  // of page 0
  uint64_t page_bytes = 0;
  uint32_t head_bytes = 0, scales_offset = 0;
  int32_t page_tokens = 0, kv_heads = 0, head_dim = 0;
  int32_t page_shift = 0;  // page_tokens is 1 << page_shift
};

// A page's layer, where the position of a row's sequence lies.
HALFTONE_DEVICE std::byte* page_of(const DeviceKv& kv, const DeviceBatch& batch, int row, int position) {
  const int32_t page = batch.pages[batch.page_begin[row] + (position >> kv.page_shift)];
  return kv.layer + static_cast<uint64_t>(page) * kv.page_bytes;
}

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
