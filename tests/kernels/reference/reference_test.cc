// The ordered reference against numbers worked out by hand, and orders that show in the bits.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>
#include <vector>

#include "kernels/contract/exp.h"
#include "kernels/kv/kv.h"
#include "kernels/reference/lane_sum.h"
#include "kernels/reference/operations.h"
#include "kernels/weights/weights.h"
#include "tests/kernels/devices.h"
#include "tests/kernels/packed_case.h"
#include "tests/kernels/same_bits.h"

namespace halftone::test {
namespace {

using reference::LaneSum;

TEST(LaneSum, LanesAreTakenBySixteens) {
  // 2^24 + 1 + 1 is 2^24 when added one by one, and 2^24 + 2 when the ones meet first: elements 1 and 17 share a lane.
  LaneSum sum;
  sum.add(0, 0x1p24f);
  sum.add(1, 1);
  sum.add(17, 1);
  EXPECT_EQ(sum.total(), 0x1p24f + 2);
  LaneSum other;
  other.add(0, 0x1p24f);
  other.add(16, 1);
  other.add(32, 1);
  EXPECT_EQ(other.total(), 0x1p24f);
}

TEST(LaneSum, TheTreeAddsLanesEightApartFirst) {
  LaneSum sum;
  sum.add(0, 0x1p24f);
  sum.add(4, 1);
  sum.add(12, 1);  // meets lane 4 before lane 0
  EXPECT_EQ(sum.total(), 0x1p24f + 2);
  LaneSum other;
  other.add(0, 0x1p24f);
  other.add(8, 1);  // meets lane 0 at once
  other.add(4, 1);
  EXPECT_EQ(other.total(), 0x1p24f);
}

TEST(LaneSum, ProductsAreFused) {
  LaneSum sum;
  sum.add(0, -1);
  sum.add_product(0, 1 + 0x1p-12f, 1 - 0x1p-12f);
  EXPECT_EQ(sum.total(), -0x1p-24f);
}

TEST(Reference, RmsNormDividesByTheRootMeanSquare) {
  std::vector<float> x = {3, -4, 3, -4}, weight = {1, 2, 3, 0}, y(4);
  reference::rms_norm(f32_tensor(x.data(), 1, 4), weight.data(), 0, f32_tensor(y.data(), 1, 4));
  const float rms = std::sqrt(12.5f);
  EXPECT_NEAR(y[0], 3 / rms, 1e-6);
  EXPECT_NEAR(y[1], -8 / rms, 1e-6);
  EXPECT_NEAR(y[2], 9 / rms, 1e-6);
  EXPECT_EQ(y[3], 0);
}

TEST(Reference, NormReplacesOrIsAdded) {
  std::vector<float> x = {3, -4}, weight = {1, 2}, y = {10, 20};
  NormCall call{f32_tensor(x.data(), 1, 2), weight.data(), 0, true, f32_tensor(y.data(), 1, 2)};
  reference::norm(call);
  const float rms = std::sqrt(12.5f);
  EXPECT_NEAR(y[0], 10 + 3 / rms, 1e-5);
  EXPECT_NEAR(y[1], 20 - 8 / rms, 1e-5);
  call.add_to_y = false;
  call.y = call.x;
  reference::norm(call);
  EXPECT_NEAR(x[0], 3 / rms, 1e-6);
  EXPECT_NEAR(x[1], -8 / rms, 1e-6);
}

class ReferenceLinear : public testing::Test {
 protected:
  PackedCase matrix(int64_t rows, int64_t cols, const std::vector<float>& values) {
    const WeightFormat& f32 = *find_weight_format("f32");
    PackedCase packed(*device_, f32, *f32.plan(rows, cols, 0));
    packed.pack(values);
    return packed;
  }

 private:
  Ledger ledger_;
  std::unique_ptr<Device> device_ = make_test_device({"cpu", "emulated"}, 1, ledger_);
};

TEST_F(ReferenceLinear, MultipliesAddsBiasAndAddsToY) {
  const PackedCase weights = matrix(2, 3, {1, 2, 3, 4, 5, 6});
  std::vector<float> x = {1, 0, -1, 10, 1, 0}, bias = {100, 200}, y = {1000, 2000, 3000, 4000};
  LinearCall call;
  call.weights = &weights.matrix();
  call.x = f32_tensor(x.data(), 2, 3);
  call.y = f32_tensor(y.data(), 2, 2);
  call.epilogue.bias = bias.data();
  call.epilogue.add_to_y = true;
  reference::linear(call);
  EXPECT_EQ(y, (std::vector<float>{1098, 2198, 3112, 4245}));
}

TEST_F(ReferenceLinear, SwigluGatesTheOtherProduct) {
  const PackedCase gate = matrix(1, 2, {1, 0}), up = matrix(1, 2, {0, 1});
  std::vector<float> x = {2, 5}, y(1);
  LinearCall call;
  call.weights = &up.matrix();
  call.x = f32_tensor(x.data(), 1, 2);
  call.y = f32_tensor(y.data(), 1, 1);
  call.epilogue.gate.matrix = &gate.matrix();
  reference::linear(call);
  EXPECT_NEAR(y[0], 5 * 2 / (1 + std::exp(-2.0)), 1e-5);
}

TEST_F(ReferenceLinear, AGateIsActivatedWithItsAddendThenCapped) {
  const PackedCase gate = matrix(1, 2, {1, 0}), up = matrix(1, 2, {0, 1});
  std::vector<float> x = {2, 5}, addend = {-1}, bias = {3}, y = {100};
  LinearCall call;
  call.weights = &up.matrix();
  call.x = f32_tensor(x.data(), 1, 2);
  call.y = f32_tensor(y.data(), 1, 1);
  call.epilogue.bias = bias.data();
  call.epilogue.gate = {&gate.matrix(), GateKind::kGeluTanh, f32_tensor(addend.data(), 1, 1)};
  call.epilogue.cap = 4;
  call.epilogue.add_to_y = true;
  reference::linear(call);
  const double gelu = 0.5 * (1 + std::tanh(std::sqrt(2 / std::numbers::pi) * 1.044715));  // of 2 - 1
  EXPECT_NEAR(y[0], 100 + 4 * std::tanh(8 * gelu / 4), 1e-5);
}

TEST_F(ReferenceLinear, AddsInAscendingOrderOfInputs) {
  const PackedCase weights = matrix(2, 3, {0x1p24f, 1, 1, 1, 1, 0x1p24f});
  std::vector<float> x = {1, 1, 1}, y(2);
  LinearCall call;
  call.weights = &weights.matrix();
  call.x = f32_tensor(x.data(), 1, 3);
  call.y = f32_tensor(y.data(), 1, 2);
  reference::linear(call);
  EXPECT_EQ(y, (std::vector<float>{0x1p24f, 0x1p24f + 2}));
}

// One sequence, one KV head of dimension 4, kv16; positions 0, 1, 2, ...
class ReferenceAttention : public testing::Test {
 protected:
  static constexpr int64_t kTokens = 5;

  ReferenceAttention() {
    layout_ = make_kv_layout(*find_kv_format("kv16"), 1, 1, 4, 16);
    arena_.resize(layout_.page_bytes);
    for (int64_t position = 0; position < kTokens; ++position) {
      for (double frequency : {1.0, 0.01}) {
        cosines_.push_back(static_cast<float>(std::cos(static_cast<double>(position) * frequency)));
        sines_.push_back(static_cast<float>(std::sin(static_cast<double>(position) * frequency)));
      }
    }
  }

  // By the table's rows as they lie for one pair of dimensions.
  double cosine(int64_t position) const { return cosines_[static_cast<size_t>(position)]; }
  double sine(int64_t position) const { return sines_[static_cast<size_t>(position)]; }

  void rope_store(std::vector<float>& q, std::vector<float>& k, std::vector<float>& v, int64_t rotated = 0) {
    RopeStoreCall call;
    call.q = f32_tensor(q.data(), kTokens, 4);
    call.k = f32_tensor(k.data(), kTokens, 4);
    call.v = f32_tensor(v.data(), kTokens, 4);
    call.heads = 1;
    call.cosines = cosines_.data();
    call.sines = sines_.data();
    call.rotated = rotated;
    call.kv = {&layout_, arena_.data(), 0};
    reference::rope_store(batch_, call);
  }

  std::vector<float> attend(std::vector<float>& q, int64_t window, float cap = 0, const float* sinks = nullptr) {
    std::vector<float> y(q.size());
    AttentionCall call;
    call.q = f32_tensor(q.data(), kTokens, 4);
    call.y = f32_tensor(y.data(), kTokens, 4);
    call.heads = 1;
    call.window = window;
    call.cap = cap;
    call.sinks = sinks;
    call.kv = {&layout_, arena_.data(), 0};
    reference::attention(batch_, call);
    return y;
  }

 private:
  KvLayout layout_;
  std::vector<std::byte> arena_;
  std::vector<float> cosines_, sines_;
  std::vector<int32_t> pages_ = {0};
  std::vector<int32_t> tokens_ = std::vector<int32_t>(kTokens);
  AttentionSequence sequence_{0, kTokens, 0, pages_};
  StepBatch batch_{tokens_, {&sequence_, 1}};
};

TEST_F(ReferenceAttention, RopeTurnsPairsThatLieHalfAHeadApart) {
  std::vector<float> q, k(20), v(20);
  for (int64_t t = 0; t < kTokens; ++t) q.insert(q.end(), {1, 0, 0, 2});
  rope_store(q, k, v);
  for (int64_t t = 0; t < kTokens; ++t) {
    const float* turned = &q[static_cast<size_t>(t * 4)];
    const double angle = static_cast<double>(t);
    EXPECT_NEAR(turned[0], std::cos(angle), 1e-6);
    EXPECT_NEAR(turned[2], std::sin(angle), 1e-6);
    EXPECT_NEAR(turned[1], -2 * std::sin(angle * 0.01), 1e-6);
    EXPECT_NEAR(turned[3], 2 * std::cos(angle * 0.01), 1e-6);
  }
}

TEST_F(ReferenceAttention, EqualScoresGiveTheMeanOfWhatIsSeen) {
  std::vector<float> q(20, 0.0f), k(20, 1.0f), v(20);
  for (size_t i = 0; i < v.size(); ++i) v[i] = static_cast<float>(i / 4);  // the token's number
  rope_store(q, k, v);
  const std::vector<float> all = attend(q, 0), two = attend(q, 2);
  for (size_t t = 0; t < 5; ++t) {
    EXPECT_NEAR(all[t * 4], static_cast<float>(t) / 2, 1e-6);
    EXPECT_NEAR(two[t * 4], t == 0 ? 0 : static_cast<float>(t) - 0.5f, 1e-6);
  }
}

TEST_F(ReferenceAttention, AMuchGreaterScoreTakesAll) {
  std::vector<float> q(20), k(20), v(20);
  for (size_t t = 0; t < 5; ++t) v[t * 4] = static_cast<float>(t + 1);
  k[2 * 4] = 30;  // token 2
  rope_store(q, k, v);
  for (size_t t = 0; t < 5; ++t) {
    // The query turns with the key of position 2, so that they meet there.
    q[t * 4] = static_cast<float>(30 * std::cos(2.0));
    q[t * 4 + 2] = static_cast<float>(30 * std::sin(2.0));
  }
  const std::vector<float> y = attend(q, 0);
  EXPECT_NEAR(y[1 * 4], 1.5, 1e-6) << "token 1 does not see token 2";
  for (size_t t = 2; t < 5; ++t) EXPECT_NEAR(y[t * 4], 3, 1e-6);
}

TEST_F(ReferenceAttention, ASinkTakesItsShareAndGivesNothing) {
  std::vector<float> q(20, 0.0f), k(20, 1.0f), v(20, 8.0f);
  rope_store(q, k, v);
  const float sink = static_cast<float>(std::log(2.0));  // as much as two positions whose scores are 0
  const std::vector<float> y = attend(q, 0, 0, &sink);
  for (size_t t = 0; t < 5; ++t)
    EXPECT_NEAR(y[t * 4], 8.0 * static_cast<double>(t + 1) / static_cast<double>(t + 3), 1e-5);
}

TEST_F(ReferenceAttention, ACapHoldsTheScores) {
  std::vector<float> q(20), k(20), v(20);
  k[0] = 1;  // of token 0, which token 1 sees
  v[0] = 1;
  rope_store(q, k, v);
  q[4] = 100;
  const double weight = std::exp(2 * std::tanh(100.0 / 2));
  EXPECT_NEAR(attend(q, 0, 2)[4], weight / (weight + 1), 1e-5);
  EXPECT_NEAR(attend(q, 0, 0)[4], 1, 1e-5);
}

TEST_F(ReferenceAttention, DimensionsBeyondTheRotatedOnesStay) {
  std::vector<float> q, k(20), v(20);
  for (int64_t t = 0; t < kTokens; ++t) q.insert(q.end(), {1, 2, 3, 4});
  rope_store(q, k, v, 2);
  for (int64_t t = 0; t < kTokens; ++t) {
    const float* turned = &q[static_cast<size_t>(t * 4)];
    EXPECT_NEAR(turned[0], cosine(t) - 2 * sine(t), 1e-5);
    EXPECT_NEAR(turned[1], 2 * cosine(t) + sine(t), 1e-5);
    EXPECT_EQ(turned[2], 3);
    EXPECT_EQ(turned[3], 4);
  }
}

TEST(Reference, ReductionOfLogitsByHand) {
  const std::vector<float> logits = {1, 3, 3, 0};
  const std::vector<LogitEdit> edits = {{.id = 1, .repetition = 2, .subtract = 1.5f, .add = -5}};  // 3 / 2 - 1.5 - 5
  LogitReduction row;
  row.logits = logits.data();
  row.vocabulary = 4;
  row.edits = edits;
  row.inverse_temperature = 2;
  row.raw_best = 2;
  row.edited_best = 1;
  row.target = 0;
  reference::reduce_logits(row);
  EXPECT_NEAR(row.logsumexp, std::log(std::exp(1.0) + 2 * std::exp(3.0) + 1), 1e-6);
  EXPECT_NEAR(row.edited_logsumexp, std::log(std::exp(2.0) + std::exp(-10.0) + std::exp(6.0) + 1), 1e-6);
  ASSERT_EQ(row.raw.size(), 2u);
  EXPECT_EQ(row.raw[0].id, 1);
  EXPECT_EQ(row.raw[1].id, 2);
  ASSERT_EQ(row.edited.size(), 1u);
  EXPECT_EQ(row.edited[0].id, 2);
  EXPECT_EQ(row.edited[0].raw, 3.0f);
  EXPECT_EQ(row.target_rank, 3u);
  EXPECT_EQ(row.target_logit, 1.0f);
}

}  // namespace
}  // namespace halftone::test
