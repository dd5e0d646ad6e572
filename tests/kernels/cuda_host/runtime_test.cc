#include "kernels/cuda/runtime.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "kernels/cuda/primitives/barriers.h"
#include "tests/kernels/cuda_host/device_array.h"

namespace halftone::test {
namespace {

using namespace cuda_host;
using testing::Each;
using testing::HasSubstr;

constexpr uint32_t kPoisoned = 0xa5a5a5a5u;

HALFTONE_KERNEL void add(uint32_t* values, uint32_t addend) { values[threadIdx.x] += addend; }
HALFTONE_KERNEL void copy(uint32_t* to, const uint32_t* from) { to[threadIdx.x] = from[threadIdx.x]; }

HALFTONE_KERNEL void hang() {
  if (threadIdx.x == 0) named_barrier(1, 64);
}

class Runtime : public CudaHostTest {
 protected:
  Runtime() {
    EXPECT_EQ(cudaStreamCreate(&stream_), cudaSuccess);
    EXPECT_EQ(cudaStreamCreate(&other_), cudaSuccess);
    EXPECT_EQ(cudaMallocHost(&pinned_, kBytes), cudaSuccess);
  }
  ~Runtime() override {
    reset();
    EXPECT_EQ(cudaFreeHost(pinned_), cudaSuccess);
    EXPECT_EQ(cudaStreamDestroy(stream_), cudaSuccess);
    EXPECT_EQ(cudaStreamDestroy(other_), cudaSuccess);
  }

  static constexpr size_t kCount = 32, kBytes = kCount * sizeof(uint32_t);
  static std::vector<uint32_t> filled(uint32_t value) { return std::vector<uint32_t>(kCount, value); }
  std::vector<uint32_t> pinned() const { return {pinned_, pinned_ + kCount}; }
  void fill_pinned(uint32_t value) { std::fill_n(pinned_, kCount, value); }

  cudaStream_t stream_ = nullptr, other_ = nullptr;
  uint32_t* pinned_ = nullptr;
};

TEST_F(Runtime, NewMemoryIsPoisoned) {
  EXPECT_THAT(DeviceArray<uint32_t>(kCount).values(), Each(kPoisoned));
  EXPECT_THAT(pinned(), Each(kPoisoned));
}

TEST_F(Runtime, TheHostSeesPoisonUntilItWaits) {
  DeviceArray<uint32_t> device(filled(3));
  std::vector<uint32_t> host = filled(1);
  ASSERT_EQ(launch(add, {1, kCount, 0, stream_}, device.data(), 4u), cudaSuccess);
  ASSERT_EQ(cudaMemcpyAsync(host.data(), device.data(), kBytes, cudaMemcpyDeviceToHost, stream_), cudaSuccess);
  EXPECT_THAT(host, Each(kPoisoned));
  ASSERT_EQ(cudaStreamSynchronize(stream_), cudaSuccess);
  EXPECT_THAT(host, Each(7u));
}

TEST_F(Runtime, ASourceIsReadWhenTheCopyHappens) {
  DeviceArray<uint32_t> device(kCount);
  fill_pinned(1);
  ASSERT_EQ(cudaMemcpyAsync(device.data(), pinned_, kBytes, cudaMemcpyHostToDevice, stream_), cudaSuccess);
  fill_pinned(2);  // too early
  ASSERT_EQ(cudaStreamSynchronize(stream_), cudaSuccess);
  EXPECT_THAT(device.values(), Each(2u));
}

// In a stream a buffer may be read and then written: the poison must not come in between.
TEST_F(Runtime, PoisonSparesWhatIsStillToBeRead) {
  DeviceArray<uint32_t> device(kCount);
  fill_pinned(5);
  ASSERT_EQ(cudaMemcpyAsync(device.data(), pinned_, kBytes, cudaMemcpyHostToDevice, stream_), cudaSuccess);
  ASSERT_EQ(launch(add, {1, kCount, 0, stream_}, device.data(), 1u), cudaSuccess);
  ASSERT_EQ(cudaMemcpyAsync(pinned_, device.data(), kBytes, cudaMemcpyDeviceToHost, stream_), cudaSuccess);
  ASSERT_EQ(cudaStreamSynchronize(stream_), cudaSuccess);
  EXPECT_THAT(pinned(), Each(6u));
}

TEST_F(Runtime, ArgumentsAreCopiedAtTheLaunch) {
  DeviceArray<uint32_t> device(filled(0));
  uint32_t addend = 1;
  ASSERT_EQ(launch(add, {1, kCount, 0, stream_}, device.data(), addend), cudaSuccess);
  addend = 100;
  ASSERT_EQ(cudaStreamSynchronize(stream_), cudaSuccess);
  EXPECT_THAT(device.values(), Each(1u));
}

TEST_F(Runtime, StreamsDoNotWaitForEachOther) {
  DeviceArray<uint32_t> from(filled(1)), to(filled(0));
  ASSERT_EQ(launch(add, {1, kCount, 0, stream_}, from.data(), 1u), cudaSuccess);
  ASSERT_EQ(launch(copy, {1, kCount, 0, other_}, to.data(), from.data()), cudaSuccess);
  ASSERT_EQ(cudaStreamSynchronize(other_), cudaSuccess);
  ASSERT_EQ(cudaStreamSynchronize(stream_), cudaSuccess);
  EXPECT_THAT(from.values(), Each(2u));
  EXPECT_THAT(to.values(), Each(1u));
}

TEST_F(Runtime, TheDefaultStreamIsInOrderWithAll) {
  DeviceArray<uint32_t> first(filled(1)), second(filled(0)), third(filled(0));
  ASSERT_EQ(launch(add, {1, kCount, 0, stream_}, first.data(), 1u), cudaSuccess);
  ASSERT_EQ(launch(copy, {1, kCount, 0, nullptr}, second.data(), first.data()), cudaSuccess);
  ASSERT_EQ(launch(copy, {1, kCount, 0, other_}, third.data(), second.data()), cudaSuccess);
  ASSERT_EQ(cudaStreamSynchronize(other_), cudaSuccess);
  EXPECT_THAT(third.values(), Each(2u));
}

TEST_F(Runtime, MemsetIsInOrder) {
  DeviceArray<uint32_t> device(filled(9));
  ASSERT_EQ(cudaMemsetAsync(device.data(), 1, kBytes, stream_), cudaSuccess);
  ASSERT_EQ(launch(add, {1, kCount, 0, stream_}, device.data(), 1u), cudaSuccess);
  ASSERT_EQ(cudaStreamSynchronize(stream_), cudaSuccess);
  EXPECT_THAT(device.values(), Each(0x01010102u));
  ASSERT_EQ(cudaMemset(device.data(), 0, kBytes), cudaSuccess);
  EXPECT_THAT(device.values(), Each(0u));
}

TEST_F(Runtime, EventsHappenInTheirStream) {
  DeviceArray<uint32_t> device(filled(0)), seen(filled(0));
  cudaEvent_t begin = nullptr, end = nullptr;
  ASSERT_EQ(cudaEventCreate(&begin), cudaSuccess);
  ASSERT_EQ(cudaEventCreate(&end), cudaSuccess);
  float milliseconds = -1;
  EXPECT_EQ(cudaEventElapsedTime(&milliseconds, begin, end), cudaErrorInvalidValue);
  ASSERT_EQ(cudaEventRecord(begin, stream_), cudaSuccess);
  ASSERT_EQ(launch(add, {1, kCount, 0, stream_}, device.data(), 1u), cudaSuccess);
  ASSERT_EQ(cudaEventRecord(end, stream_), cudaSuccess);
  ASSERT_EQ(launch(add, {1, kCount, 0, stream_}, device.data(), 10u), cudaSuccess);
  EXPECT_EQ(cudaEventElapsedTime(&milliseconds, begin, end), cudaErrorNotReady);
  ASSERT_EQ(cudaEventSynchronize(end), cudaSuccess);
  ASSERT_EQ(cudaEventElapsedTime(&milliseconds, begin, end), cudaSuccess);
  EXPECT_GT(milliseconds, 0);
  // What was launched after the event has not happened: another stream reads what was there at the event.
  ASSERT_EQ(launch(copy, {1, kCount, 0, other_}, seen.data(), device.data()), cudaSuccess);
  ASSERT_EQ(cudaStreamSynchronize(other_), cudaSuccess);
  EXPECT_THAT(seen.values(), Each(1u));
  EXPECT_EQ(cudaEventDestroy(begin), cudaSuccess);
  EXPECT_EQ(cudaEventDestroy(end), cudaSuccess);
}

TEST_F(Runtime, AFaultStaysAndSaysWhatItWas) {
  DeviceArray<uint32_t> device(filled(1));
  ASSERT_EQ(launch(hang, {1, 64, 0, stream_}), cudaSuccess);
  ASSERT_EQ(launch(add, {1, kCount, 0, stream_}, device.data(), 1u), cudaSuccess);
  EXPECT_EQ(cudaStreamSynchronize(stream_), cudaErrorLaunchFailure);
  EXPECT_THAT(last_fault(), HasSubstr("deadlock"));
  EXPECT_EQ(cudaGetErrorString(cudaErrorLaunchFailure), last_fault());
  EXPECT_EQ(launch(add, {1, kCount, 0, stream_}, device.data(), 1u), cudaErrorLaunchFailure);
  EXPECT_EQ(cudaMemset(device.data(), 0, kBytes), cudaErrorLaunchFailure);
  void* memory = nullptr;
  EXPECT_EQ(cudaMalloc(&memory, 16), cudaErrorLaunchFailure);
  EXPECT_EQ(cudaGetLastError(), cudaErrorLaunchFailure);
  EXPECT_EQ(cudaGetLastError(), cudaErrorLaunchFailure);
  reset();
  EXPECT_THAT(device.values(), Each(1u));
}

TEST_F(Runtime, LaunchesThatNoDeviceTakesAreRefused) {
  DeviceArray<uint32_t> device(filled(0));
  EXPECT_EQ(launch(add, {1, 1025, 0, stream_}, device.data(), 1u), cudaErrorInvalidConfiguration);
  EXPECT_EQ(launch(add, {0, 32, 0, stream_}, device.data(), 1u), cudaErrorInvalidConfiguration);
  EXPECT_EQ(launch(add, {{1, 65536}, 32, 0, stream_}, device.data(), 1u), cudaErrorInvalidConfiguration);
  EXPECT_EQ(launch(add, {1, 32, 164 * 1024, stream_}, device.data(), 1u), cudaErrorInvalidConfiguration);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidConfiguration);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
}

TEST_F(Runtime, CopiesBeyondAnAllocationAreRefused) {
  DeviceArray<uint32_t> device(filled(0));
  std::vector<uint32_t> host(2 * kCount);
  const auto copy_back = [&](const void* from, size_t bytes, cudaMemcpyKind kind) {
    return cudaMemcpyAsync(host.data(), from, bytes, kind, stream_);
  };
  EXPECT_EQ(copy_back(device.data(), kBytes + 1, cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
  EXPECT_EQ(copy_back(device.data() + 1, kBytes, cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
  EXPECT_EQ(copy_back(device.data() + kCount, 4, cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
  EXPECT_EQ(copy_back(host.data() + kCount, 4, cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
  EXPECT_EQ(copy_back(device.data(), 4, cudaMemcpyHostToHost), cudaErrorInvalidValue);
  EXPECT_EQ(copy_back(device.data(), kBytes, cudaMemcpyDefault), cudaSuccess);
  EXPECT_EQ(cudaMemset(device.data(), 0, kBytes + 1), cudaErrorInvalidValue);
  EXPECT_EQ(cudaFree(device.data() + 1), cudaErrorInvalidValue);
}

TEST_F(Runtime, MemoryIsAccountedAndEnds) {
  use({.memory_bytes = 1 << 20});
  size_t free_before = 0, total = 0, free_now = 0;
  ASSERT_EQ(cudaMemGetInfo(&free_before, &total), cudaSuccess);
  EXPECT_EQ(total, size_t{1} << 20);
  std::byte *most = nullptr, *more = nullptr;
  ASSERT_EQ(cudaMalloc(&most, 1000 * 1024), cudaSuccess);
  ASSERT_EQ(cudaMemGetInfo(&free_now, &total), cudaSuccess);
  EXPECT_EQ(free_before - free_now, 1000u * 1024);
  EXPECT_EQ(cudaMalloc(&more, 100 * 1024), cudaErrorMemoryAllocation);
  EXPECT_EQ(more, nullptr);
  EXPECT_EQ(cudaFree(most), cudaSuccess);
  ASSERT_EQ(cudaMalloc(&more, 100 * 1024), cudaSuccess);
  EXPECT_EQ(cudaFree(more), cudaSuccess);
}

// As a loader does: several threads bring pieces while another runs kernels.
TEST_F(Runtime, AnyThreadMayCall) {
  constexpr int kThreads = 4, kRounds = 50;
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&wrong, thread] {
      for (int round = 0; round < kRounds; ++round) {
        DeviceArray<uint32_t> device(filled(static_cast<uint32_t>(thread)));
        if (run(add, {1, kCount}, device.data(), 1u) != cudaSuccess) ++wrong;
        if (device.values() != filled(static_cast<uint32_t>(thread) + 1)) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST_F(Runtime, HandlesThatWereNeverMadeAreRefused) {
  EXPECT_EQ(cudaStreamDestroy(nullptr), cudaErrorInvalidResourceHandle);
  EXPECT_EQ(cudaEventDestroy(nullptr), cudaErrorInvalidResourceHandle);
  EXPECT_STREQ(cudaGetErrorName(cudaErrorInvalidResourceHandle), "cudaErrorInvalidResourceHandle");
}

TEST_F(Runtime, ThereIsOneDevice) {
  int count = 0;
  ASSERT_EQ(cudaGetDeviceCount(&count), cudaSuccess);
  EXPECT_EQ(count, 1);
  EXPECT_EQ(cudaSetDevice(0), cudaSuccess);
  EXPECT_EQ(cudaSetDevice(1), cudaErrorInvalidDevice);
  cudaDeviceProp properties;
  ASSERT_EQ(cudaGetDeviceProperties(&properties, 0), cudaSuccess);
  EXPECT_EQ(properties.major, 8);
  EXPECT_GE(properties.sharedMemPerBlockOptin, size_t{48} * 1024);
  EXPECT_GT(std::strlen(properties.name), 0u);
}

}  // namespace
}  // namespace halftone::test
