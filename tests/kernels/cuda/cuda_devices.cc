#include "tests/kernels/cuda/cuda_devices.h"

#include "kernels/cuda/cuda_device.h"
#include "kernels/cuda_host/cuda_host_device.h"

namespace halftone::test {
namespace {

std::unique_ptr<Device> first_card(Ledger& ledger) {
  std::string why;
  return make_cuda_device(0, ledger, &why);
}

}  // namespace

const std::vector<TestDevice>& all_cuda_devices() {
  static const std::vector<TestDevice> kDevices = {{"cuda:host", "", make_cuda_host_device},
                                                   {"cuda:0", "", first_card}};
  return kDevices;
}

std::string name_of_cuda_device(const testing::TestParamInfo<TestDevice>& info) {
  return info.param.name == "cuda:0" ? "gpu" : "host";
}

void skip_unless_here(const TestDevice& device) {
  Ledger ledger;
  if (make_test_device(device, 1, ledger) != nullptr) return;
  if (is_required(device)) FAIL() << full_name(device) << " is required and not here";
  GTEST_SKIP() << full_name(device) << " is not on this machine";
}

}  // namespace halftone::test
