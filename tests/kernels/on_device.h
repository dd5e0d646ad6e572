// What tests put on a device, whatever its memory and its activations: rows, plain values and packed matrices, with the
// way to compare what it computes with the reference.
#pragma once

#include <gtest/gtest.h>

#include <span>
#include <vector>

#include "kernels/contract/device.h"
#include "kernels/reference/exact.h"

namespace halftone::test {

// Values that bf16 holds exactly.
std::vector<float> as_bf16(std::vector<float> values);
// Values that the device's activations hold exactly.
std::vector<float> as_activations(const Device& device, std::vector<float> values);

// Whether the device is *ordered* (docs/NUMERICS.md): it has the reference's bits.
bool is_ordered(const Device& device);
// What a device that is not does beside float32 arithmetic.
reference::LinearRounding rounding_of(const Device& device);
// Success, or where `got` has other bits than the reference, on an ordered device, or is beyond a bound. `exact`
// includes what the device rounds.
testing::AssertionResult agrees(const Device& device, std::span<const float> got, std::span<const float> ordered,
                                std::span<const reference::Bounded> exact);

// A matrix of the device's activations in its memory, rows a little apart.
class RowsOnDevice {
 public:
  RowsOnDevice(Device& device, const std::vector<float>& values, int64_t rows, int64_t cols, int64_t gap = 0);

  Tensor tensor() const { return tensor_; }
  std::vector<float> download() const;
  bool gaps_are_untouched() const;

 private:
  std::vector<std::byte> bytes() const;

  Device& device_;
  Buffer buffer_;
  Tensor tensor_;
};

// Any plain values there.
template <typename T>
class OnDevice {
 public:
  OnDevice(Device& device, const std::vector<T>& values)
      : device_(device), size_(values.size()), buffer_(device.allocate(size_ * sizeof(T), {"test", {}})) {
    device.upload(buffer_.data(), std::as_bytes(std::span(values)));
  }
  T* data() const { return reinterpret_cast<T*>(buffer_.data()); }
  std::vector<T> download() const {
    std::vector<T> values(size_);
    device_.download(std::as_writable_bytes(std::span(values)), buffer_.data());
    return values;
  }

 private:
  Device& device_;
  size_t size_;
  Buffer buffer_;
};

// What a CPU device packed, in another device's layout.
class MatrixOnDevice {
 public:
  MatrixOnDevice(Device& device, const PackedMatrix& packed);
  const PackedMatrix& matrix() const { return matrix_; }

 private:
  Buffer codes_, scales_;
  PackedMatrix matrix_;
};

}  // namespace halftone::test
