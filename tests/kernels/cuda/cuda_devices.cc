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

}  // namespace halftone::test
