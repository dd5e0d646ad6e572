// What the CPU does with bytes and rows that it does not compute with.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "kernels/kv/kv.h"
#include "kernels/reference/operations.h"
#include "kernels/weights/weights.h"
#include "tests/kernels/attention_case.h"
#include "tests/kernels/devices.h"
#include "tests/kernels/packed_case.h"
#include "tests/kernels/same_bits.h"

namespace halftone::test {
namespace {

class RowsTest : public OnEachDevice<TestDevice> {
 protected:
  void SetUp() override { start(GetParam()); }
  Device& device() const { return **worker; }
};

TEST_P(RowsTest, WhatIsUploadedIsDownloaded) {
  const Buffer memory = device().allocate(64, {"test", MemoryCategory::kOther});
  const std::vector<float> values = {1, -2, 3};
  std::vector<float> back(4, 7);
  device().upload(memory.data() + 8, std::as_bytes(std::span(values)));
  device().download(std::as_writable_bytes(std::span(back)), memory.data() + 4);
  EXPECT_EQ(back, (std::vector<float>{0, 1, -2, 3}));
}

TEST_P(RowsTest, GathersRowsInTheirOrderAndAsOftenAsWanted) {
  std::vector<float> from(5 * 4), to(3 * 4, -1);
  for (size_t i = 0; i < from.size(); ++i) from[i] = static_cast<float>(i);
  const std::vector<int64_t> rows = {4, 0, 4};
  device().gather_rows({from.data(), DType::kF32, 5, 3, 4}, rows, {to.data(), DType::kF32, 3, 3, 4});
  EXPECT_EQ(to, (std::vector<float>{16, 17, 18, -1, 0, 1, 2, -1, 16, 17, 18, -1}));
}

TEST_P(RowsTest, ARankIsOneMoreThanTheNumberOfGreaterLogits) {
  for (int64_t vocabulary : {1, 15, 16, 100, 1001}) {
    std::vector<float> logits;
    for (int64_t id = 0; id < vocabulary; ++id) logits.push_back(static_cast<float>((id * 7919) % 13));
    logits[0] = -HUGE_VALF;
    for (int64_t id : {int64_t{0}, vocabulary / 2, vocabulary - 1}) {
      const float own = logits[static_cast<size_t>(id)];
      const auto greater = std::count_if(logits.begin(), logits.end(), [&](float logit) { return logit > own; });
      EXPECT_EQ(device().rank(logits.data(), vocabulary, static_cast<int32_t>(id)), 1 + greater) << id;
    }
  }
}

TEST_P(RowsTest, EmbedsTheTokensOfTheStepThatBegan) {
  std::mt19937 random(1);
  for (const WeightFormat* format : all_weight_formats()) {
    const std::optional<PackedCase> table = PackedCase::random(device(), *format, 50, 64, random);
    for (const std::vector<int32_t>& tokens : {std::vector<int32_t>{49, 0, 7}, std::vector<int32_t>{3}}) {
      const StepBatch batch{tokens, {}};
      std::vector<float> y(4 * 64), expected(y.size());
      EXPECT_EQ(device().begin(batch), static_cast<int64_t>(tokens.size()));
      device().embed({&table->matrix(), f32_tensor(y.data(), 4, 64), 24.5f});
      reference::embed(batch, {&table->matrix(), f32_tensor(expected.data(), 4, 64), 24.5f});
      EXPECT_TRUE(same_bits(y, expected)) << format->name;
      EXPECT_NE(y, std::vector<float>(y.size())) << format->name;
    }
  }
}

TEST_P(RowsTest, NormsRows) {
  std::mt19937 random(2);
  for (int64_t cols : {1, 15, 16, 33, 100}) {
    for (bool add : {false, true}) {
      const std::vector<float> weight = normal_floats(random, cols);
      std::vector<float> x = normal_floats(random, 5 * cols), y = normal_floats(random, 5 * cols), expected = y;
      NormCall call{f32_tensor(x.data(), 5, cols), weight.data(), 1e-5f, add, f32_tensor(expected.data(), 5, cols)};
      const std::vector<reference::Bounded> exact = reference::exact_norm(call);
      reference::norm(call);
      call.y = f32_tensor(y.data(), 5, cols);
      device().norm(call);
      EXPECT_TRUE(same_bits(y, expected)) << cols << " columns";
      EXPECT_TRUE(within_bounds(y, exact)) << cols << " columns";
    }
  }
}

TEST_P(RowsTest, ClampedValuesAreTakenOnce) {
  AttentionCase twice(*find_kv_format("kv16"), {}, {20}, 1);
  twice.magnify(1e6f);
  AttentionCase in_reference = twice;
  const int64_t clamped = in_reference.whole(nullptr).clamped;
  EXPECT_GT(clamped, 0);
  EXPECT_EQ(twice.whole(worker->get()).clamped, clamped);
  EXPECT_EQ(device().take_clamped(), 0);
}

TEST_P(RowsTest, ReplayableWorkIsDoneEachTime) {
  int done = 0;
  for (int i = 0; i < 3; ++i) device().replayable(1, [&] { ++done; });
  EXPECT_EQ(done, 3);
}

INSTANTIATE_TEST_SUITE_P(AllDevices, RowsTest, testing::ValuesIn(all_test_devices()),
                         [](const auto& info) { return info.param.name + "_" + info.param.isa; });

}  // namespace
}  // namespace halftone::test
