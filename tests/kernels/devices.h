// The devices that tests run on: a constant list. One that is not here is a visible skip; HALFTONE_REQUIRE=<its name>
// in the environment makes that a failure.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "kernels/contract/device.h"

namespace halftone::test {

struct TestDevice {
  std::string name;  // "cpu"
  std::string isa;  // "avx2"; empty where a device has no choice. "avx512vnni_simde": those kernels, whose instructions
                    // a library spells out (simde_body.h), so that they are tested where the processor lacks them
  std::unique_ptr<Device> (*make)(Ledger& ledger) = nullptr;  // null: one of the CPU's
};

// "cpu:avx2".
std::string full_name(const TestDevice& device);
void PrintTo(const TestDevice& device, std::ostream* out);
const std::vector<TestDevice>& all_test_devices();
// Null: it is not on this machine.
std::unique_ptr<Device> make_test_device(const TestDevice& device, int threads, Ledger& ledger);
// Whether a device that is absent fails the test: HALFTONE_REQUIRE names it, or its kind.
bool is_required(const TestDevice& device);

// A device with memory to work in, for calls of these sizes.
class Worker {
 public:
  struct Sizes {
    int64_t max_tokens = 64;
    int64_t max_cols = 512;
    int64_t heads = 32;
    int64_t head_dim = 128;
  };
  Worker(const TestDevice& device, int threads, const Sizes& sizes);
  Worker(const TestDevice& device, int threads) : Worker(device, threads, Sizes{}) {}

  Device* get() const { return device_.get(); }
  Device& operator*() const { return *device_; }
  Device* operator->() const { return device_.get(); }

 private:
  Ledger ledger_;
  std::unique_ptr<Device> device_;
  Buffer workspace_;
};

// A fixture over all devices: `worker` has two threads.
template <typename Param>
class OnEachDevice : public testing::TestWithParam<Param> {
 protected:
  void start(const TestDevice& device, const Worker::Sizes& sizes = {}) {
    worker = std::make_unique<Worker>(device, 2, sizes);
    if (worker->get() != nullptr) return;
    if (is_required(device)) FAIL() << full_name(device) << " is required and not here";
    GTEST_SKIP() << full_name(device) << " is not on this machine";
  }

  std::unique_ptr<Worker> worker;
};

}  // namespace halftone::test
