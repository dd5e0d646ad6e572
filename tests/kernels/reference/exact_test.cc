// The bounds are bounds: the ordered reference keeps them, and what is slightly wrong does not.
#include "kernels/reference/exact.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
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

TEST(Exact, AProductThatLacksOneInputOrRoundsToHalfIsBeyondTheBound) {
  Ledger ledger;
  const std::unique_ptr<Device> device = make_test_device({"cpu", "emulated"}, 1, ledger);
  std::mt19937 random(1);
  const std::optional<PackedCase> weights = PackedCase::random(*device, *find_weight_format("f32"), 8, 200, random);
  std::vector<float> x = normal_floats(random, 200), y(8);
  LinearCall call;
  call.weights = &weights->matrix();
  call.x = f32_tensor(x.data(), 1, 200);
  call.y = f32_tensor(y.data(), 1, 8);
  const std::vector<reference::Bounded> exact = reference::exact_linear(call);
  reference::linear(call);
  EXPECT_TRUE(within_bounds(y, exact));
  std::vector<float> rough = y;
  for (float& value : rough) value *= 1 + 0x1p-10f;
  EXPECT_FALSE(within_bounds(rough, exact));
  x[150] = 0;
  reference::linear(call);
  EXPECT_FALSE(within_bounds(y, exact));
}

TEST(Exact, AttentionThatMissesOneTokenIsBeyondTheBound) {
  AttentionCase whole(*find_kv_format("kv16"), {2, 1, 16}, {40}, 3),
      windowed(*find_kv_format("kv16"), {2, 1, 16, 16, 39}, {40}, 3);
  const std::vector<reference::Bounded> exact = whole.exact(whole.whole_chunks());
  EXPECT_TRUE(within_bounds(whole.whole(nullptr).y, exact));
  EXPECT_FALSE(within_bounds(windowed.whole(nullptr).y, exact));
}

TEST(Exact, LogsumexpOfOneTermMoreIsBeyondTheBound) {
  const std::vector<float> row(1000, 2.0f), more(1001, 2.0f);
  LogitReduction reduction;
  reduction.logits = row.data();
  reduction.vocabulary = 1000;
  reference::reduce_logits(reduction);
  const reference::Bounded exact = reference::exact_logsumexp(row), other = reference::exact_logsumexp(more);
  EXPECT_NEAR(exact.value, 2 + std::log(1000.0), 1e-9);
  EXPECT_TRUE(within_bounds({&reduction.logsumexp, 1}, {&exact, 1}));
  EXPECT_FALSE(within_bounds({&reduction.logsumexp, 1}, {&other, 1}));
}

float scaled_logsumexp(const std::vector<float>& row, float scale) {
  LogitReduction reduction;
  reduction.logits = row.data();
  reduction.vocabulary = std::ssize(row);
  reduction.edited_best = 1;
  reduction.inverse_temperature = scale;
  reference::reduce_logits(reduction);
  return reduction.edited_logsumexp;
}

TEST(Exact, LogsumexpOfAScaledRowThatLacksAFewBoundsIsBeyondTheBound) {
  constexpr int64_t kAdditions = 1000 / 16 + 1 + 4;  // that a term goes through: a lane of 16, their tree
  constexpr float kScale = 1 / 0.7f;
  std::mt19937 random(1);
  std::vector<float> row = normal_floats(random, 1000, 4);
  const reference::Bounded exact = reference::exact_logsumexp(row, kScale, kAdditions);
  EXPECT_LT(exact.bound, reference::exact_logsumexp(row, kScale).bound);
  const float whole = scaled_logsumexp(row, kScale);
  EXPECT_TRUE(within_bounds({&whole, 1}, {&exact, 1}));

  const double least = (exact.value + std::log(3 * exact.bound)) / kScale;  // a term of three bounds
  std::sort(row.begin(), row.end());
  float& term = *std::lower_bound(row.begin(), row.end(), static_cast<float>(least));
  EXPECT_LT(std::exp(term * kScale - exact.value), 4 * exact.bound);
  term = row.front();
  const float lacking = scaled_logsumexp(row, kScale);
  EXPECT_FALSE(within_bounds({&lacking, 1}, {&exact, 1}));
}

}  // namespace
}  // namespace halftone::test
