#include "tests/kernels/cuda/on_cuda.h"

#include <algorithm>

namespace halftone::test {
namespace {

constexpr uint64_t kOrders = HALFTONE_SANITIZED ? 2 : 8;  // a sanitizer takes ten times as long

}  // namespace

void PrintTo(const DeviceParam& param, std::ostream* out) {
  *out << full_name(param.device) << " seed " << param.settings.seed << (param.settings.eager_copies ? " eager" : "");
}

std::vector<DeviceParam> all_cuda_params() {
  std::vector<DeviceParam> params;
  for (const TestDevice& device : all_cuda_devices()) {
    if (device.name != "cuda:host") {
      params.push_back({device, {}});
      continue;
    }
    for (uint64_t seed = 0; seed < kOrders; ++seed) {
      cuda_host::Settings settings;
      settings.seed = seed;
      settings.eager_copies = seed % 2 == 1;
      settings.coresident_blocks = seed % 3 == 2 ? 4 : 1;
      params.push_back({device, settings});
    }
  }
  return params;
}

std::string name_of_device_param(const testing::TestParamInfo<DeviceParam>& info) {
  std::string name = full_name(info.param.device);
  std::replace(name.begin(), name.end(), ':', '_');
  return name + "_" + std::to_string(info.param.settings.seed);
}

}  // namespace halftone::test
