// What recorded steps take of the device's memory is in its ledger. On fibers alone: no GPU says what a graph takes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <memory>

#include "kernels/cuda_host/cuda_host.h"
#include "kernels/cuda_host/cuda_host_device.h"

namespace halftone::test {
namespace {

constexpr uint64_t kStepBytes = cuda_host::kGraphOperationBytes;  // of a step of one kernel

class CudaGraphs : public testing::Test {
 protected:
  CudaGraphs() : device_(make_cuda_host_device(ledger_)) {
    rows_ = device_->allocate(64 * 16 * sizeof(uint16_t), {"test", MemoryCategory::kActivations});
  }

  // A step that is `kernels` launches, under this key.
  void step(uint64_t key, int kernels) {
    const Tensor from = tensor_of(rows_.data(), DType::kBF16, 32, 16), to = rows_of(from, 32, 32);
    device_->replayable(key, [&] {
      for (int64_t i = 0; i < kernels; ++i) device_->gather_rows(from, {&i, 1}, to);
    });
    EXPECT_EQ(device_->error(), "");
  }
  uint64_t graph_bytes() const {
    uint64_t bytes = 0;
    for (const MemoryEntry& entry : ledger_.entries()) {
      if (entry.tag == MemoryTag{"graphs", MemoryCategory::kGraphs}) bytes += entry.bytes;
    }
    return bytes;
  }
  uint64_t unaccounted() { return device_->own_memory().used - ledger_.total(); }

  Ledger ledger_;
  std::unique_ptr<Device> device_;
  Buffer rows_;
};

TEST_F(CudaGraphs, AreInTheLedgerAsLongAsTheyAreKept) {
  const uint64_t before = unaccounted();
  EXPECT_EQ(graph_bytes(), 0u);
  step(1, 3);
  EXPECT_EQ(graph_bytes(), 3 * kStepBytes);
  step(1, 3);
  EXPECT_EQ(graph_bytes(), 3 * kStepBytes) << "a replay takes nothing";
  step(2, 5);
  EXPECT_EQ(graph_bytes(), 8 * kStepBytes);
  EXPECT_EQ(unaccounted(), before);
  rows_ = {};
  device_.reset();
  EXPECT_EQ(graph_bytes(), 0u);
  EXPECT_EQ(ledger_.total(), 0u);
}

TEST_F(CudaGraphs, LeaveTheLedgerWhenTheyMakeRoomForOthers) {
  constexpr uint64_t kKept = 256;
  for (uint64_t key = 0; key < kKept; ++key) step(key, 1);
  EXPECT_EQ(graph_bytes(), kKept * kStepBytes);
  step(kKept, 2);
  EXPECT_EQ(graph_bytes(), 2 * kStepBytes);
}

TEST_F(CudaGraphs, AStepThatThereIsNoMemoryForEndsTheDevice) {
  cuda_host::Settings settings;
  settings.memory_bytes -= device_->own_memory().free;
  cuda_host::configure(settings);
  device_->replayable(1, [&] {
    const int64_t row = 0;
    const Tensor all = tensor_of(rows_.data(), DType::kBF16, 64, 16);
    device_->gather_rows(rows_of(all, 0, 32), {&row, 1}, rows_of(all, 32, 32));
  });
  cuda_host::configure({});
  EXPECT_THAT(device_->error(), testing::StartsWith("sending a graph to the device: cudaErrorMemoryAllocation"));
  EXPECT_EQ(graph_bytes(), 0u);
}

}  // namespace
}  // namespace halftone::test
