// The CUDA backend under test, under several orders of fibers.
#pragma once

#include <ostream>
#include <string>
#include <vector>

#include "kernels/cuda_host/cuda_host.h"
#include "tests/kernels/cuda/cuda_devices.h"
#include "tests/kernels/on_device.h"
#include "tests/kernels/packed_case.h"

namespace halftone::test {

// One device and, where fibers play the GPU, one order of theirs.
struct DeviceParam {
  TestDevice device;
  cuda_host::Settings settings;
};
void PrintTo(const DeviceParam& param, std::ostream* out);
// "cuda:host" under eight orders of fibers, late and early copies, and "cuda:0".
std::vector<DeviceParam> all_cuda_params();
std::string name_of_device_param(const testing::TestParamInfo<DeviceParam>& info);

// A fixture for both: a device that ended fails the test.
class OnDeviceParam : public OnEachDevice<DeviceParam> {
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
