// What the CPU does with bytes that it does not compute with.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/kernels/devices.h"

namespace halftone::test {
namespace {

class RowsTest : public OnEachDevice<TestDevice> {
 protected:
  void SetUp() override { start(GetParam()); }
  Device& device() const { return **worker; }
};

TEST_P(RowsTest, WhatIsUploadedIsDownloaded) {
  const Buffer memory = device().allocate(64, {"test", MemoryCategory::kOther});
  const std::vector<float> values = {1, -2, 3};
  std::vector<float> back(4, 7);
  device().upload(memory.data() + 8, std::as_bytes(std::span(values)));
  device().download(std::as_writable_bytes(std::span(back)), memory.data() + 4);
  EXPECT_EQ(back, (std::vector<float>{0, 1, -2, 3}));
}

TEST_P(RowsTest, ReplayableWorkIsDoneEachTime) {
  int done = 0;
  for (int i = 0; i < 3; ++i) device().replayable(1, [&] { ++done; });
  EXPECT_EQ(done, 3);
}

INSTANTIATE_TEST_SUITE_P(AllDevices, RowsTest, testing::ValuesIn(all_test_devices()),
                         [](const auto& info) { return info.param.name + "_" + info.param.isa; });

}  // namespace
}  // namespace halftone::test
