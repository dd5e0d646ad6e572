// Activations for a bench: rows of one value in a device's memory, of its activation type.
#pragma once

#include <vector>

#include "kernels/contract/device.h"
#include "kernels/contract/numbers.h"

namespace halftone::bench {

class DeviceRows {
 public:
  DeviceRows(Device& device, int64_t rows, int64_t cols, float value) {
    const DType dtype = device.activation_dtype();
    const size_t values = static_cast<size_t>(rows * cols);
    buffer_ = device.allocate(values * dtype_bytes(dtype), {"bench", MemoryCategory::kActivations});
    view_ = tensor_of(buffer_.data(), dtype, rows, cols);
    if (dtype == DType::kF32) {
      upload(device, std::vector<float>(values, value));
    } else {
      upload(device, std::vector<uint16_t>(values, bf16_from_f32(value)));
    }
  }

  const Tensor& view() const { return view_; }
  Tensor first(int64_t rows) const { return rows_of(view_, 0, rows); }

 private:
  template <typename T>
  void upload(Device& device, const std::vector<T>& values) {
    device.upload(buffer_.data(), std::as_bytes(std::span(values)));
  }

  Buffer buffer_;
  Tensor view_;
};

}  // namespace halftone::bench
