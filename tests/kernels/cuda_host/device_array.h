// Memory of the device with what a test put there, and kernels that are run to their end.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <utility>
#include <vector>

#include "kernels/cuda/launch.h"
#include "kernels/cuda_host/cuda_host.h"

namespace halftone::test {

template <typename T>
class DeviceArray {
 public:
  explicit DeviceArray(size_t size) : size_(size) { EXPECT_EQ(cudaMalloc(&data_, size * sizeof(T)), cudaSuccess); }
  explicit DeviceArray(const std::vector<T>& values) : DeviceArray(values.size()) {
    EXPECT_EQ(cudaMemcpy(data_, values.data(), size_ * sizeof(T), cudaMemcpyHostToDevice), cudaSuccess);
  }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;
  ~DeviceArray() { cudaFree(data_); }

  T* data() const { return data_; }
  std::vector<T> values() const {
    std::vector<T> values(size_);
    EXPECT_EQ(cudaMemcpy(values.data(), data_, size_ * sizeof(T), cudaMemcpyDeviceToHost), cudaSuccess);
    return values;
  }

 private:
  T* data_ = nullptr;
  size_t size_;
};

// Launches and waits.
template <typename... Parameters, typename... Arguments>
cudaError_t run(void (*kernel)(Parameters...), const cuda_host::LaunchShape& shape, Arguments&&... arguments) {
  const cudaError_t error = cuda_host::launch(kernel, shape, std::forward<Arguments>(arguments)...);
  return error == cudaSuccess ? cudaStreamSynchronize(shape.stream) : error;
}

// Every test begins and leaves with the machine as it is by default.
class CudaHostTest : public testing::Test {
 protected:
  CudaHostTest() { start_over(); }
  ~CudaHostTest() override { start_over(); }

  static void start_over() {
    cuda_host::reset();
    cuda_host::configure({});
    cuda_host::reset_counters();
  }
  static void use(const cuda_host::Settings& settings) { cuda_host::configure(settings); }
};

constexpr uint64_t kSeeds = 8;  // 0 .. 7

}  // namespace halftone::test
