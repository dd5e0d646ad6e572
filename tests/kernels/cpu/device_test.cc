// What the CPU device says of itself, its memory, and that the instruction set that was asked for is the one that runs.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "kernels/cpu/cpu_device.h"
#include "kernels/weights/weights.h"
#include "tests/kernels/devices.h"

namespace halftone::test {
namespace {

TEST(CpuDevice, RunsTheInstructionSetThatWasAskedFor) {
  for (CpuIsa isa : cpu_isas()) {
    Ledger ledger;
    const std::unique_ptr<Device> device = make_cpu_device({.threads = 1, .isa = cpu_isa_name(isa)}, ledger);
    ASSERT_NE(device, nullptr);
    EXPECT_EQ(device->name(), "cpu");
    EXPECT_EQ(device->kernel_name(), cpu_isa_name(isa));
  }
}

TEST(CpuDevice, TakesTheBestInstructionSetWhenNoneIsAskedFor) {
  Ledger ledger;
  EXPECT_EQ(make_cpu_device({}, ledger)->kernel_name(), cpu_isa_name(cpu_isas().front()));
}

TEST(CpuDevice, RefusesAnUnknownInstructionSet) {
  Ledger ledger;
  EXPECT_EQ(make_cpu_device({.threads = 1, .isa = "avx3"}, ledger), nullptr);
}

TEST(CpuDevice, EveryInstructionSetIsInTheListOfTests) {
  for (CpuIsa isa : cpu_isas()) {
    const bool listed =
        std::any_of(all_test_devices().begin(), all_test_devices().end(),
                    [&](const TestDevice& device) { return device.name == "cpu" && device.isa == cpu_isa_name(isa); });
    EXPECT_TRUE(listed) << cpu_isa_name(isa);
  }
}

// A required device that no list knows would otherwise be tested by nobody and complained about by nobody.
TEST(TestDevices, WhatIsRequiredIsInTheList) {
  const char* required = std::getenv("HALFTONE_REQUIRE");
  if (required == nullptr) GTEST_SKIP() << "HALFTONE_REQUIRE names no device";
  EXPECT_TRUE(std::any_of(all_test_devices().begin(), all_test_devices().end(), is_required)) << required;
}

TEST(CpuDevice, EveryInstructionSetMultipliesWithEveryWeightFormat) {
  for (CpuIsa isa : cpu_isas()) {
    Ledger ledger;
    const std::unique_ptr<Device> device = make_cpu_device({.threads = 1, .isa = cpu_isa_name(isa)}, ledger);
    for (const WeightFormat* format : all_weight_formats()) {
      for (Activations activations : {Activations::kA16, Activations::kA8, Activations::kA8Token}) {
        EXPECT_TRUE(device->supports(*format, activations)) << cpu_isa_name(isa) << " " << format->name;
      }
    }
  }
}

TEST(CpuDevice, MemoryIsZeroedAlignedAndInTheLedger) {
  Ledger ledger;
  const std::unique_ptr<Device> device = make_cpu_device({.threads = 1, .isa = ""}, ledger);
  {
    const Buffer buffer = device->allocate(100'001, {"w4a16", MemoryCategory::kKvCache});
    ASSERT_TRUE(buffer);
    EXPECT_EQ(buffer.bytes(), 100'001u);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % 64, 0u);
    EXPECT_TRUE(
        std::all_of(buffer.data(), buffer.data() + buffer.bytes(), [](std::byte b) { return b == std::byte{0}; }));
    EXPECT_EQ(ledger.total(), 100'001u);
  }
  EXPECT_EQ(ledger.total(), 0u);
}

TEST(CpuDevice, MoreMemoryThanThereIsGivesAnEmptyBufferAndNoEntry) {
  Ledger ledger;
  const std::unique_ptr<Device> device = make_cpu_device({.threads = 1, .isa = ""}, ledger);
  EXPECT_FALSE(device->allocate(size_t{1} << 60, {"w4a16", MemoryCategory::kKvCache}));
  EXPECT_EQ(ledger.total(), 0u);
}

}  // namespace
}  // namespace halftone::test
