#include "tests/kernels/devices/attention_on_device.h"

#include <algorithm>
#include <cmath>

#include "kernels/reference/operations.h"
#include "tests/kernels/on_device.h"
#include "tests/kernels/same_bits.h"

namespace halftone::test {

AttentionOnDevice::AttentionOnDevice(Device& device, const KvFormat& format, const AttentionVariant& variant,
                                     std::vector<int64_t> lengths)
    : device_(device), variant_(variant) {
  // The second of two layers of unequal size is used: an offset that is left out, or of another layer, shows.
  const KvLayerShape layers[] = {{variant.kv_heads + 1, variant.head_dim + 8}, {variant.kv_heads, variant.head_dim}};
  layout_ = make_kv_layout(format, layers, variant.page_tokens);
  layout_.page_bytes += 128;
  std::mt19937 random(5);
  int64_t positions = 0;
  for (int64_t length : lengths) {
    const int64_t pages = (length + variant.page_tokens - 1) / variant.page_tokens;
    std::vector<int32_t> ids(static_cast<size_t>(pages));
    for (int32_t& id : ids) id = static_cast<int32_t>(pages_++ * 2 + 1);  // with holes between
    std::shuffle(ids.begin(), ids.end(), random);
    tables_.push_back(ids);
    positions = std::max(positions, length);
  }
  for (int64_t i = 0; i < positions * rotated() / 2; ++i) {
    const double angle = static_cast<double>(i) * 0.37;
    cosines_.push_back(static_cast<float>(std::cos(angle)));
    sines_.push_back(static_cast<float>(std::sin(angle)));
  }
  q_norm_ = normal_floats(random, variant.head_dim), k_norm_ = normal_floats(random, variant.head_dim);
  sinks_ = normal_floats(random, variant.heads, 2);
  arena_.assign(static_cast<size_t>(2 * pages_ + 1) * layout_.page_bytes, std::byte{0x7e});
}

float AttentionOnDevice::scale() const { return 1 / std::sqrt(static_cast<float>(variant_.head_dim)); }

void AttentionOnDevice::expect_queries(const std::vector<float>& got, const std::vector<float>& expected) const {
  if (is_ordered(device_)) {
    EXPECT_TRUE(same_bits(got, expected));
    return;
  }
  for (size_t i = 0; i < expected.size(); ++i) {
    ASSERT_NEAR(got[i], expected[i], reference::kBf16Rounding * std::fabs(expected[i]) + 1e-6) << "query value " << i;
  }
}

void AttentionOnDevice::step(const std::vector<NewTokens>& chunks) {
  std::vector<AttentionSequence> sequences;
  int64_t rows = 0;
  for (size_t i = 0; i < chunks.size(); ++i) {
    sequences.push_back({rows, chunks[i].tokens, chunks[i].first, tables_[i]});
    rows += chunks[i].tokens;
  }
  const std::vector<int32_t> tokens(static_cast<size_t>(rows), 0);
  const StepBatch batch{tokens, sequences, rows};
  const int64_t q_cols = variant_.heads * variant_.head_dim, kv_cols = variant_.kv_heads * variant_.head_dim;
  std::vector<float> q = as_activations(device_, normal_floats(random_, rows * q_cols, variant_.q_scale));
  const std::vector<float> k = as_activations(device_, normal_floats(random_, rows * kv_cols, 2));
  const std::vector<float> v = as_activations(device_, normal_floats(random_, rows * kv_cols));

  const OnDevice<std::byte> arena(device_, arena_);
  const OnDevice<float> cosines(device_, cosines_), sines(device_, sines_), q_norm(device_, q_norm_),
      k_norm(device_, k_norm_), sinks(device_, sinks_);
  const RowsOnDevice device_q(device_, q, rows, q_cols, 8), device_k(device_, k, rows, kv_cols),
      device_v(device_, v, rows, kv_cols), device_y(device_, q, rows, q_cols, 16);
  auto fill = [&](RopeStoreCall& rope, AttentionCall& attention, bool here) {
    rope.heads = attention.heads = variant_.heads;
    if (variant_.qk_norm) rope.q_norm = here ? q_norm.data() : q_norm_.data();
    if (variant_.qk_norm) rope.k_norm = here ? k_norm.data() : k_norm_.data();
    rope.rms_epsilon = 1e-6f;
    rope.cosines = here ? cosines.data() : cosines_.data();
    rope.sines = here ? sines.data() : sines_.data();
    rope.rotated = variant_.rotated;
    rope.kv = attention.kv = {&layout_, here ? arena.data() : arena_.data(), 1};
    attention.scale = scale();
    attention.window = variant_.window;
    attention.cap = variant_.cap;
    if (variant_.sinks) attention.sinks = here ? sinks.data() : sinks_.data();
  };
  RopeStoreCall rope{.q = device_q.tensor(), .k = device_k.tensor(), .v = device_v.tensor(), .kv = {}};
  AttentionCall attention{.q = device_q.tensor(), .y = device_y.tensor(), .kv = {}};
  fill(rope, attention, true);
  ASSERT_EQ(device_.begin(batch), rows);
  device_.rope_store(rope);
  device_.attention(attention);

  std::vector<float> plain_k = k, plain_v = v, y(q.size());
  rope.q = attention.q = f32_tensor(q.data(), rows, q_cols);
  rope.k = f32_tensor(plain_k.data(), rows, kv_cols), rope.v = f32_tensor(plain_v.data(), rows, kv_cols);
  attention.y = f32_tensor(y.data(), rows, q_cols);
  fill(rope, attention, false);
  EXPECT_EQ(device_.take_clamped(), reference::rope_store(batch, rope));
  const std::vector<std::byte> stored = arena.download();
  // A norm's sum of squares has an order of its own where a device is not ordered; then the last bits may differ.
  EXPECT_TRUE((variant_.qk_norm && !is_ordered(device_)) || stored == arena_) << "the pages differ";
  arena_ = stored;
  const std::vector<float> got_q = device_q.download();
  expect_queries(got_q, q);
  q = got_q;  // as attention reads it
  std::vector<reference::Bounded> exact = reference::exact_attention(batch, attention);
  const double rounded = rounding_of(device_).output;
  for (reference::Bounded& value : exact) value.bound += rounded * std::fabs(value.value) + 1e-30;
  reference::attention(batch, attention);
  y_ = device_y.download();
  EXPECT_TRUE(agrees(device_, y_, y, exact));
  EXPECT_TRUE(device_y.gaps_are_untouched());
}

}  // namespace halftone::test
