#include "tests/kernels/devices/every_device.h"

#include "tests/kernels/remote_device.h"

namespace halftone::test {
namespace {

std::unique_ptr<Device> make_remote_device(Ledger& ledger) {
  return std::make_unique<RemoteDevice>(CpuOptions{.threads = 2, .isa = ""}, ledger);
}

}  // namespace

std::vector<DeviceParam> every_device() {
  std::vector<DeviceParam> params;
  for (const TestDevice& device : all_test_devices()) params.push_back({device, {}});
  params.push_back({{"remote", "", make_remote_device}, {}});
  for (const DeviceParam& param : all_cuda_params()) params.push_back(param);
  return params;
}

}  // namespace halftone::test
