// The devices of the CUDA backend that tests run on: bf16 activations, *bounded*. "cuda:host" runs the kernels on this
// processor.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/kernels/devices.h"

namespace halftone::test {

const std::vector<TestDevice>& all_cuda_devices();
// "host", "gpu": a test's name.
std::string name_of_cuda_device(const testing::TestParamInfo<TestDevice>& info);
// A device that is not on this machine is a visible skip, unless HALFTONE_REQUIRE names it. For SetUp().
void skip_unless_here(const TestDevice& device);

}  // namespace halftone::test
