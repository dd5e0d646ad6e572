#include "kernels/contract/device.h"

#include <algorithm>

#include <utility>

namespace halftone {

Buffer::Buffer(void* data, size_t bytes, Free free, Ledger* ledger, MemoryTag tag)
    : data_(data), bytes_(bytes), free_(free), ledger_(ledger), tag_(std::move(tag)) {
  if (ledger_ != nullptr) ledger_->add(tag_, bytes_);
}

Buffer::Buffer(Buffer&& other) noexcept { *this = std::move(other); }

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  std::swap(free_, other.free_);
  std::swap(ledger_, other.ledger_);
  std::swap(tag_, other.tag_);
  return *this;
}

Buffer::~Buffer() {
  if (data_ == nullptr) return;
  free_(data_, bytes_);
  if (ledger_ != nullptr) ledger_->subtract(tag_, bytes_);
}

void Device::on_host(int64_t items, const std::function<void(int64_t)>& work) {
  for (int64_t item = 0; item < items; ++item) work(item);
}

KvLayout make_kv_layout(const KvFormat& format, std::span<const KvLayerShape> layers, int64_t page_tokens) {
  auto size = [](int64_t n) { return static_cast<size_t>(n); };
  KvLayout layout{.format = &format, .page_tokens = page_tokens};
  for (const KvLayerShape& shape : layers) {
    KvLayer layer{.kv_heads = shape.kv_heads, .head_dim = shape.head_dim, .page_tokens = page_tokens};
    layer.offset = layout.used_bytes();
    layer.head_bytes = 2 * size(shape.head_dim * page_tokens) * format.code_bytes;
    layer.scales_offset = size(shape.kv_heads) * layer.head_bytes;
    const size_t scale_bytes = format.has_scales ? size(shape.kv_heads * 2 * page_tokens) * 2 : 0;
    layer.bytes = (layer.scales_offset + scale_bytes + 63) / 64 * 64;
    layout.layers.push_back(layer);
  }
  layout.page_bytes = layout.used_bytes();
  return layout;
}

KvLayout make_kv_layout(const KvFormat& format, int64_t layers, int64_t kv_heads, int64_t head_dim,
                        int64_t page_tokens) {
  const std::vector<KvLayerShape> shapes(static_cast<size_t>(layers), {kv_heads, head_dim});
  return make_kv_layout(format, shapes, page_tokens);
}

double DeviceRoofline::seconds(const Work& work) const {
  if (bytes_per_second <= 0) return 0;
  double computing = 0;
  for (int kind = 0; kind < kArithmetics; ++kind) computing += work.operations[kind] / operations_per_second[kind];
  return std::max(work.bytes / bytes_per_second, computing);
}

}  // namespace halftone
