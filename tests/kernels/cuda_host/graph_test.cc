#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "tests/kernels/cuda_host/device_array.h"

namespace halftone::test {
namespace {

using namespace cuda_host;
using testing::Each;

HALFTONE_KERNEL void add(uint32_t* values, uint32_t addend) { values[threadIdx.x] += addend; }

class Graph : public CudaHostTest {
 protected:
  Graph() { EXPECT_EQ(cudaStreamCreate(&stream_), cudaSuccess); }
  ~Graph() override {
    reset();
    EXPECT_EQ(cudaStreamDestroy(stream_), cudaSuccess);
  }

  static size_t free_bytes() {
    size_t free = 0, total = 0;
    EXPECT_EQ(cudaMemGetInfo(&free, &total), cudaSuccess);
    return free;
  }
  cudaGraphExec_t executable_of_two(const DeviceArray<uint32_t>& device) {
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t executable = nullptr;
    EXPECT_EQ(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeGlobal), cudaSuccess);
    for (uint32_t addend : {1, 2}) EXPECT_EQ(launch(add, {1, kCount, 0, stream_}, device.data(), addend), cudaSuccess);
    EXPECT_EQ(cudaStreamEndCapture(stream_, &graph), cudaSuccess);
    EXPECT_EQ(cudaGraphInstantiate(&executable, graph, 0), cudaSuccess);
    EXPECT_EQ(cudaGraphDestroy(graph), cudaSuccess);
    return executable;
  }

  static constexpr size_t kCount = 32, kBytes = kCount * sizeof(uint32_t);
  cudaStream_t stream_ = nullptr;
};

TEST_F(Graph, ReplaysWhatWasCapturedWithItsArguments) {
  DeviceArray<uint32_t> device(std::vector<uint32_t>(kCount, 0));
  std::vector<uint32_t> host(kCount, 1);
  uint32_t addend = 2;
  ASSERT_EQ(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeGlobal), cudaSuccess);
  ASSERT_EQ(launch(add, {1, kCount, 0, stream_}, device.data(), addend), cudaSuccess);
  ASSERT_EQ(cudaMemcpyAsync(host.data(), device.data(), kBytes, cudaMemcpyDeviceToHost, stream_), cudaSuccess);
  cudaGraph_t graph = nullptr;
  ASSERT_EQ(cudaStreamEndCapture(stream_, &graph), cudaSuccess);
  addend = 100;
  cudaGraphExec_t executable = nullptr;
  ASSERT_EQ(cudaGraphInstantiate(&executable, graph, 0), cudaSuccess);
  ASSERT_EQ(cudaGraphDestroy(graph), cudaSuccess);
  ASSERT_EQ(cudaStreamSynchronize(stream_), cudaSuccess);
  EXPECT_THAT(host, Each(1u)) << "capture does nothing";

  for (uint32_t round = 1; round <= 3; ++round) {
    ASSERT_EQ(cudaGraphLaunch(executable, stream_), cudaSuccess);
    EXPECT_THAT(host, Each(0xa5a5a5a5u));
    ASSERT_EQ(cudaStreamSynchronize(stream_), cudaSuccess);
    EXPECT_THAT(host, Each(2 * round));
  }
  EXPECT_EQ(cudaGraphExecDestroy(executable), cudaSuccess);
}

TEST_F(Graph, TakesMemoryFromItsUploadOrFirstLaunchOn) {
  DeviceArray<uint32_t> device(std::vector<uint32_t>(kCount, 0));
  const size_t before = free_bytes();
  const cudaGraphExec_t uploaded = executable_of_two(device), launched = executable_of_two(device);
  EXPECT_EQ(free_bytes(), before);
  EXPECT_EQ(cudaGraphUpload(uploaded, stream_), cudaSuccess);
  EXPECT_EQ(free_bytes(), before - 2 * kGraphOperationBytes);
  EXPECT_EQ(cudaGraphLaunch(uploaded, stream_), cudaSuccess);
  EXPECT_EQ(free_bytes(), before - 2 * kGraphOperationBytes) << "once";
  EXPECT_EQ(cudaGraphLaunch(launched, stream_), cudaSuccess);
  EXPECT_EQ(free_bytes(), before - 4 * kGraphOperationBytes);
  EXPECT_EQ(cudaGraphExecDestroy(uploaded), cudaSuccess);
  EXPECT_EQ(cudaGraphExecDestroy(launched), cudaSuccess);
  EXPECT_EQ(free_bytes(), before);
}

TEST_F(Graph, IsRefusedWhereThereIsNoMemoryForIt) {
  DeviceArray<uint32_t> device(std::vector<uint32_t>(kCount, 0));
  const cudaGraphExec_t executable = executable_of_two(device);
  Settings settings;
  settings.memory_bytes -= free_bytes() - (2 * kGraphOperationBytes - 1);
  use(settings);
  EXPECT_EQ(cudaGraphUpload(executable, stream_), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaGraphLaunch(executable, stream_), cudaErrorMemoryAllocation);
  EXPECT_EQ(free_bytes(), 2 * kGraphOperationBytes - 1);
  EXPECT_EQ(cudaGraphExecDestroy(executable), cudaSuccess);
}

TEST_F(Graph, WaitingWhileOneIsCapturedIsRefused) {
  DeviceArray<uint32_t> device(std::vector<uint32_t>(kCount, 0));
  std::vector<uint32_t> host(kCount);
  ASSERT_EQ(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeGlobal), cudaSuccess);
  EXPECT_EQ(cudaStreamSynchronize(stream_), cudaErrorStreamCaptureUnsupported);
  EXPECT_EQ(cudaMemcpy(host.data(), device.data(), kBytes, cudaMemcpyDeviceToHost), cudaErrorStreamCaptureImplicit);
  void* memory = nullptr;
  EXPECT_EQ(cudaMalloc(&memory, 16), cudaErrorStreamCaptureUnsupported);
  EXPECT_EQ(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeGlobal), cudaErrorInvalidValue);
  EXPECT_EQ(cudaStreamBeginCapture(nullptr, cudaStreamCaptureModeGlobal), cudaErrorStreamCaptureUnsupported);
  cudaGraph_t graph = nullptr;
  ASSERT_EQ(cudaStreamEndCapture(stream_, &graph), cudaSuccess);
  EXPECT_EQ(cudaGraphDestroy(graph), cudaSuccess);
  EXPECT_EQ(cudaStreamEndCapture(stream_, &graph), cudaErrorInvalidValue);
}

}  // namespace
}  // namespace halftone::test
