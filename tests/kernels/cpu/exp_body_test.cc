// The vector bodies of exp, silu, tanh and GELU have the scalar's bits, over floats of every exponent and the special
// ones.
#include <gtest/gtest.h>

#include <bit>
#include <map>
#include <vector>

#include "kernels/contract/exp.h"
#include "tests/kernels/cpu/exp_bodies.h"
#include "tests/kernels/devices.h"
#include "tests/kernels/same_bits.h"
#include "tests/kernels/simde_body.h"

namespace halftone::test {
namespace {

// 512 floats of each sign and exponent, whose mantissas end in all sorts of bits; infinities and NaNs among them.
std::vector<float> floats_of_all_exponents() {
  std::vector<float> floats;
  for (uint32_t top = 0; top < 0x200; ++top) {
    for (uint32_t i = 0; i < 512; ++i) floats.push_back(std::bit_cast<float>(top << 23 | (i * 16411 & 0x7fffff)));
  }
  return floats;
}

class ExpBodyTest : public testing::TestWithParam<TestDevice> {
 protected:
  void SetUp() override {
    Ledger ledger;
    if (make_test_device(GetParam(), 1, ledger) == nullptr) {
      if (is_required(GetParam())) FAIL() << full_name(GetParam()) << " is required and not here";
      GTEST_SKIP() << full_name(GetParam()) << " is not on this machine";
    }
    const std::map<std::string, ExpBodies (*)()> all = {{"avx512vnni", exp_bodies_avx512vnni},
                                                        {"avx512vnni_simde", simde_exp_bodies},
                                                        {"avx2", exp_bodies_avx2},
                                                        {"emulated", exp_bodies_emulated}};
    ASSERT_TRUE(all.contains(GetParam().isa)) << "no body of exp is tested for this";
    bodies = all.at(GetParam().isa)();
  }

  ExpBodies bodies;
};

TEST_P(ExpBodyTest, HasTheScalarsBits) {
  const std::vector<float> x = floats_of_all_exponents();
  std::vector<float> got(x.size()), expected;
  bodies.exp(x.data(), static_cast<int64_t>(x.size()), got.data());
  for (float value : x) expected.push_back(exp_ordered(value));
  EXPECT_TRUE(same_bits(got, expected));
}

TEST_P(ExpBodyTest, WhatIsMadeOfItHasTheScalarsBitsOfFiniteFloats) {
  std::vector<float> x;
  for (float value : floats_of_all_exponents()) {
    if (std::isfinite(value)) x.push_back(value);
  }
  x.resize(x.size() / 16 * 16);
  const std::pair<LaneFunction, float (*)(float)> functions[] = {
      {bodies.silu, silu_ordered}, {bodies.tanh, tanh_ordered}, {bodies.gelu, gelu_tanh_ordered}};
  for (const auto& [body, scalar] : functions) {
    std::vector<float> got(x.size()), expected;
    body(x.data(), static_cast<int64_t>(x.size()), got.data());
    for (float value : x) expected.push_back(scalar(value));
    EXPECT_TRUE(same_bits(got, expected));
  }
}

INSTANTIATE_TEST_SUITE_P(AllDevices, ExpBodyTest, testing::ValuesIn(all_test_devices()),
                         [](const auto& info) { return info.param.name + "_" + info.param.isa; });

}  // namespace
}  // namespace halftone::test
