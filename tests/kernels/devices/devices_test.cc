// A device's name gives the device, or one line that says what is missing.
#include "kernels/devices/devices.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace halftone::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

TEST(Devices, TheCpuIsAlwaysHere) {
  Ledger ledger;
  const MadeDevice made = make_device("cpu", {{.threads = 1, .isa = "emulated"}}, ledger);
  ASSERT_NE(made.device, nullptr);
  EXPECT_EQ(made.device->name(), "cpu");
  EXPECT_EQ(made.device->kernel_name(), "emulated");
  EXPECT_EQ(made.why, "");
}

TEST(Devices, WhatIsNotHereIsSaidInOneLine) {
  Ledger ledger;
  const MadeDevice isa = make_device("cpu", {{.threads = 1, .isa = "sse9"}}, ledger);
  EXPECT_EQ(isa.device, nullptr);
  EXPECT_EQ(isa.why, "device cpu: instruction set sse9 does not run on this machine");
  const MadeDevice gpu = make_device("cuda:9999", {}, ledger);
  EXPECT_EQ(gpu.device, nullptr);
  EXPECT_THAT(gpu.why, AllOf(StartsWith("device cuda:9999: "), Not(HasSubstr("\n"))));
}

TEST(Devices, TheCardOnThisProcessorIsForTestBuilds) {
  Ledger ledger;
  const MadeDevice made = make_device("cuda:host", {}, ledger);
  EXPECT_EQ(made.device, nullptr);
  EXPECT_EQ(made.why, "device cuda:host: only halftone-server-host, of a build with tests, has it");
}

TEST(Devices, ANameThatIsNoneIsRefused) {
  Ledger ledger;
  for (const std::string name : {"", "gpu", "CPU", "cuda", "cuda:", "cuda:x", "cuda:-1", "cuda:1x", "cuda: 1"}) {
    const MadeDevice made = make_device(name, {}, ledger);
    EXPECT_EQ(made.device, nullptr);
    EXPECT_EQ(made.why, "device " + name + ": there is no such device; cpu and cuda:N are known");
  }
}

}  // namespace
}  // namespace halftone::test
