#include "tests/kernels/devices.h"

#include <cstdlib>
#include <ostream>

#include "kernels/cpu/cpu_device.h"
#include "tests/kernels/has_avx2.h"
#include "tests/kernels/simde_body.h"

namespace halftone::test {

std::string full_name(const TestDevice& device) {
  return device.isa.empty() ? device.name : device.name + ":" + device.isa;
}

void PrintTo(const TestDevice& device, std::ostream* out) { *out << full_name(device); }

const std::vector<TestDevice>& all_test_devices() {
  static const std::vector<TestDevice> kDevices = {
      {"cpu", "avx512vnni"}, {"cpu", "avx512vnni_simde"}, {"cpu", "avx2"}, {"cpu", "emulated"}};
  return kDevices;
}

std::unique_ptr<Device> make_test_device(const TestDevice& device, int threads, Ledger& ledger) {
  if (device.isa == "avx512vnni_simde") return has_avx2() ? make_cpu_device(threads, simde_body(), ledger) : nullptr;
  if (device.make != nullptr) return device.make(ledger);
  return device.name == "cpu" ? make_cpu_device({.threads = threads, .isa = device.isa}, ledger) : nullptr;
}

bool is_required(const TestDevice& device) {
  const char* required = std::getenv("HALFTONE_REQUIRE");
  return required != nullptr && (required == device.name || required == full_name(device));
}

Worker::Worker(const TestDevice& device, int threads, const Sizes& sizes)
    : device_(make_test_device(device, threads, ledger_)) {
  if (device_ == nullptr) return;
  workspace_ =
      device_->allocate(device_->workspace_bytes(sizes.max_tokens, sizes.max_cols, sizes.heads, sizes.head_dim),
                        {"shared", MemoryCategory::kWorkspace});
  device_->set_workspace(workspace_.data(), workspace_.bytes());
}

}  // namespace halftone::test
