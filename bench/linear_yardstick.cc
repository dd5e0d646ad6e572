#include "bench/linear_yardstick.h"

#include <algorithm>
#include <memory>
#include <span>

#include "kernels/contract/numbers.h"
#include "kernels/contract/weight_format.h"

namespace halftone::bench {
namespace {

constexpr size_t kWorkspaceBytes = size_t{32} << 20;  // what NVIDIA advises for Hopper

}  // namespace

LinearYardstick::LinearYardstick(Device& device, Yardstick& library, void* stream)
    : device_(device),
      library_(library),
      stream_(stream),
      workspace_(device.allocate(kWorkspaceBytes, {"bench", MemoryCategory::kWorkspace})) {}

void LinearYardstick::hold(int64_t rows, int64_t cols, const std::vector<float>& values, size_t beyond) {
  std::vector<uint16_t> block;
  block.reserve(values.size());
  for (float value : values) block.push_back(bf16_from_f32(value));
  const size_t row_bytes = static_cast<size_t>(cols) * sizeof(uint16_t);
  const size_t bytes = static_cast<size_t>(rows) * row_bytes;
  copies_.clear();
  for (size_t i = 0; i < beyond / bytes + 1; ++i) {
    copies_.push_back(device_.allocate(bytes, {"bench", MemoryCategory::kWeights}));
    for (int64_t first = 0; first < rows; first += kPackRows) {
      const auto count = static_cast<size_t>(std::min(kPackRows, rows - first));
      device_.upload(copies_.back().data() + static_cast<size_t>(first) * row_bytes,
                     std::as_bytes(std::span(block)).first(count * row_bytes));
    }
  }
  weights_ = tensor_of(copies_[0].data(), DType::kBF16, rows, cols);
}

Comparison LinearYardstick::time(const Tensor& x, const Tensor& y, const Budget& budget, uint64_t key) {
  Comparison result;
  const std::unique_ptr<YardstickProduct> product =
      library_.plan(weights_, x, y, {workspace_.data(), workspace_.bytes()}, &result.error);
  if (product == nullptr) return result;
  auto run = [&](int64_t i) {
    const Buffer& copy = copies_[static_cast<size_t>(i) % copies_.size()];
    if (result.error.empty()) result.error = product->run(copy.data(), x.data, y.data, stream_);
  };
  run(0);  // outside of a recording, which an error would spoil
  if (!result.error.empty()) return result;
  result.seconds = time_calls(device_, budget, key, run);
  return result;
}

}  // namespace halftone::bench
