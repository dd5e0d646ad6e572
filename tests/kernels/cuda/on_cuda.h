// The CUDA backend under test: values that go to a device as bf16 and come back, and a matrix in its layout.
#pragma once

#include <ostream>
#include <string>
#include <vector>

#include "kernels/cuda_host/cuda_host.h"
#include "tests/kernels/cuda/cuda_devices.h"
#include "tests/kernels/packed_case.h"

namespace halftone::test {

// Values that bf16 holds exactly.
std::vector<float> as_bf16(std::vector<float> values);

// A matrix of bf16 in a device's memory, rows a little apart.
class Bf16OnDevice {
 public:
  Bf16OnDevice(Device& device, const std::vector<float>& values, int64_t rows, int64_t cols, int64_t gap = 0);

  Tensor tensor() const { return tensor_; }
  std::vector<float> download() const;
  bool gaps_are_untouched() const;

 private:
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

// One device and, where fibers play the GPU, one order of theirs.
struct CudaParam {
  TestDevice device;
  cuda_host::Settings settings;
};
void PrintTo(const CudaParam& param, std::ostream* out);
// "cuda:host" under eight orders of fibers, late and early copies, and "cuda:0".
std::vector<CudaParam> all_cuda_params();
std::string name_of_cuda_param(const testing::TestParamInfo<CudaParam>& info);

class OnCuda : public OnEachDevice<CudaParam> {
 protected:
  void SetUp() override {
    cuda_host::configure(GetParam().settings);
    start(GetParam().device);
  }
  void TearDown() override {
    if (worker != nullptr && worker->get() != nullptr) {
      EXPECT_EQ((*worker)->error(), "");
    }
    cuda_host::configure({});
  }
};

}  // namespace halftone::test
