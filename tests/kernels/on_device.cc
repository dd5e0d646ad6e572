#include "tests/kernels/on_device.h"

#include <algorithm>
#include <cstring>

#include "kernels/contract/numbers.h"
#include "tests/kernels/packed_case.h"
#include "tests/kernels/same_bits.h"

namespace halftone::test {
namespace {

constexpr std::byte kGap{0x34};

}  // namespace

std::vector<float> as_bf16(std::vector<float> values) {
  for (float& value : values) value = f32_from_bf16(bf16_from_f32(value));
  return values;
}

std::vector<float> as_activations(const Device& device, std::vector<float> values) {
  return device.activation_dtype() == DType::kBF16 ? as_bf16(std::move(values)) : values;
}

bool is_ordered(const Device& device) { return device.activation_dtype() == DType::kF32; }

reference::LinearRounding rounding_of(const Device& device) {
  if (is_ordered(device)) return {};
  return {reference::kBf16Rounding, reference::kBf16Rounding, true};
}

testing::AssertionResult agrees(const Device& device, std::span<const float> got, std::span<const float> ordered,
                                std::span<const reference::Bounded> exact) {
  if (!is_ordered(device)) return within_bounds(got, exact);
  testing::AssertionResult bits = same_bits(got, ordered);
  return bits ? within_bounds(got, exact) : bits;
}

RowsOnDevice::RowsOnDevice(Device& device, const std::vector<float>& values, int64_t rows, int64_t cols, int64_t gap)
    : device_(device) {
  const DType dtype = device.activation_dtype();
  const size_t one = dtype_bytes(dtype);
  tensor_ = {nullptr, dtype, rows, cols, cols + gap};
  std::vector<std::byte> bytes(static_cast<size_t>(rows * tensor_.stride) * one, kGap);
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < cols; ++c) {
      const float value = values[static_cast<size_t>(r * cols + c)];
      const uint16_t half = bf16_from_f32(value);
      std::byte* to = &bytes[static_cast<size_t>(r * tensor_.stride + c) * one];
      std::memcpy(to, dtype == DType::kBF16 ? static_cast<const void*>(&half) : &value, one);
    }
  }
  buffer_ = device.allocate(bytes.size(), {"test", {}});
  device.upload(buffer_.data(), bytes);
  tensor_.data = buffer_.data();
}

std::vector<std::byte> RowsOnDevice::bytes() const {
  std::vector<std::byte> bytes(buffer_.bytes());
  device_.download(bytes, buffer_.data());
  return bytes;
}

std::vector<float> RowsOnDevice::download() const {
  const std::vector<std::byte> bytes = this->bytes();
  const size_t one = dtype_bytes(tensor_.dtype);
  std::vector<float> values;
  for (int64_t r = 0; r < tensor_.rows; ++r) {
    for (int64_t c = 0; c < tensor_.cols; ++c) {
      const std::byte* from = &bytes[static_cast<size_t>(r * tensor_.stride + c) * one];
      uint16_t half = 0;
      float value = 0;
      std::memcpy(tensor_.dtype == DType::kBF16 ? static_cast<void*>(&half) : &value, from, one);
      values.push_back(tensor_.dtype == DType::kBF16 ? f32_from_bf16(half) : value);
    }
  }
  return values;
}

bool RowsOnDevice::gaps_are_untouched() const {
  const std::vector<std::byte> bytes = this->bytes();
  const size_t one = dtype_bytes(tensor_.dtype), width = static_cast<size_t>(tensor_.cols) * one;
  for (size_t row = 0; row < bytes.size(); row += static_cast<size_t>(tensor_.stride) * one) {
    const auto end = bytes.begin() + static_cast<int64_t>(row + static_cast<size_t>(tensor_.stride) * one);
    const auto begin = bytes.begin() + static_cast<int64_t>(row + width);
    if (!std::all_of(begin, end, [](std::byte b) { return b == kGap; })) return false;
  }
  return true;
}

MatrixOnDevice::MatrixOnDevice(Device& device, const PackedMatrix& packed) {
  const WeightFormat& format = *packed.format;
  const PackedBytes bytes = device.weight_bytes(format, packed.shape);
  codes_ = device.allocate(bytes.codes, {"test", MemoryCategory::kWeights});
  scales_ = device.allocate(bytes.scales, {"test", MemoryCategory::kWeightScales});
  matrix_ = {&format, packed.shape, codes_.data(), scales_.data()};
  if (device.memory_is_hosts()) {
    device.upload(matrix_.codes, {packed.codes, bytes.codes});
    device.upload(matrix_.scales, {packed.scales, bytes.scales});
    return;
  }
  for (int64_t first = 0; first < packed.shape.rows; first += kPackRows) {
    device.pack_rows(matrix_, first, rows_of_packed(packed, first, std::min(kPackRows, packed.shape.rows - first)));
  }
}

}  // namespace halftone::test
