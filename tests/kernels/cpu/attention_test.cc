// RoPE, the KV store and attention over pages, on every device and for every KV format, against the reference.
#include <gtest/gtest.h>

#include <algorithm>
#include <ostream>
#include <string>
#include <vector>

#include "kernels/kv/kv.h"
#include "tests/kernels/attention_case.h"
#include "tests/kernels/devices.h"
#include "tests/kernels/same_bits.h"

namespace halftone::test {
namespace {

using Chunk = AttentionCase::Chunk;
using Result = AttentionCase::Result;

struct Param {
  TestDevice device;
  const KvFormat* format;
};

void PrintTo(const Param& param, std::ostream* out) { *out << full_name(param.device) << " " << param.format->name; }

std::vector<Param> all_params() {
  std::vector<Param> params;
  for (const TestDevice& device : all_test_devices()) {
    for (const KvFormat* format : all_kv_formats()) params.push_back({device, format});
  }
  return params;
}

std::string name_of(const testing::TestParamInfo<Param>& info) {
  return info.param.device.name + "_" + info.param.device.isa + "_" + std::string(info.param.format->name);
}

class AttentionTest : public OnEachDevice<Param> {
 protected:
  void SetUp() override { start(GetParam().device); }

  AttentionCase make(const AttentionShape& shape, std::vector<int64_t> lengths) const {
    return AttentionCase(*GetParam().format, shape, std::move(lengths), 5);
  }

  // Everything in one step here and in the reference: rotated queries, the pages' bytes, the outputs.
  void expect_reference_bits(const AttentionShape& shape, const std::vector<int64_t>& lengths) {
    SCOPED_TRACE("heads " + std::to_string(shape.heads) + "/" + std::to_string(shape.kv_heads) + " of " +
                 std::to_string(shape.head_dim) + ", pages of " + std::to_string(shape.page_tokens) + ", window " +
                 std::to_string(shape.window));
    AttentionCase here = make(shape, lengths), there = make(shape, lengths);
    const Result got = here.whole(worker->get()), expected = there.whole(nullptr);
    EXPECT_TRUE(same_bits(got.q, expected.q));
    EXPECT_EQ(here.arena(), there.arena());
    EXPECT_TRUE(same_bits(got.y, expected.y));
    EXPECT_EQ(got.clamped, 0);
    EXPECT_TRUE(within_bounds(got.y, there.exact(there.whole_chunks())));
  }
};

TEST_P(AttentionTest, HasTheBitsOfTheReferenceForEveryHeadDimension) {
  for (int64_t head_dim : {8, 10, 64, 80, 128}) expect_reference_bits({2, 1, head_dim}, {1, 37});
}

TEST_P(AttentionTest, HasTheBitsOfTheReferenceForEveryGroupOfHeads) {
  const std::pair<int64_t, int64_t> heads[] = {{1, 1}, {3, 3}, {8, 4}, {9, 3}, {14, 2}, {16, 1}};
  for (auto [q_heads, kv_heads] : heads) expect_reference_bits({q_heads, kv_heads, 16}, {5, 40});
}

TEST_P(AttentionTest, HasTheBitsOfTheReferenceForEverySizeOfPage) {
  for (int64_t page_tokens : {16, 32, 64, 256}) expect_reference_bits({4, 2, 16, page_tokens}, {1, 70, 300});
}

TEST_P(AttentionTest, HasTheBitsOfTheReferenceWithNormsOfQueriesAndKeys) {
  expect_reference_bits({4, 2, 10, 16, 0, true}, {20});
  expect_reference_bits({4, 2, 64, 16, 0, true}, {20});
}

TEST_P(AttentionTest, HasTheBitsOfTheReferenceAcrossSplits) {
  for (int64_t length : {255, 256, 257, 512, 530}) expect_reference_bits({2, 1, 8}, {length});
}

TEST_P(AttentionTest, HasTheBitsOfTheReferenceInEveryWindow) {
  for (int64_t window : {1, 5, 16, 100, 255, 256, 257, 400}) expect_reference_bits({2, 1, 8, 16, window}, {530});
}

TEST_P(AttentionTest, HasTheBitsOfTheReferenceWithARotationOfAPart) {
  for (int64_t rotated : {2, 6, 16}) expect_reference_bits({.head_dim = 16, .rotated = rotated}, {37});
  expect_reference_bits({.head_dim = 20, .qk_norm = true, .rotated = 10}, {20});
}

TEST_P(AttentionTest, HasTheBitsOfTheReferenceWithCapsAndSinks) {
  for (int64_t window : {0, 5, 300}) {
    expect_reference_bits({.window = window, .cap = 1.5f}, {20, 290});
    expect_reference_bits({.heads = 6, .window = window, .sinks = true}, {20, 290});
    expect_reference_bits({.heads = 9, .kv_heads = 3, .head_dim = 10, .window = window, .cap = 20, .sinks = true},
                          {1, 40, 290});
  }
}

TEST_P(AttentionTest, DoesNotDependOnChunks) {
  for (int64_t window : {0, 70}) {
    const AttentionShape shape{4, 2, 16, 32, window};
    AttentionCase once = make(shape, {300}), pieces = make(shape, {300});
    const Result whole = once.whole(worker->get());
    std::vector<float> y;
    int64_t first = 0;
    for (int64_t tokens : {1, 7, 64, 1, 183, 2, 1, 41}) {
      const Result part = pieces.step(worker->get(), {{0, first, tokens}});
      y.insert(y.end(), part.y.begin(), part.y.end());
      first += tokens;
    }
    ASSERT_EQ(first, 300);
    EXPECT_TRUE(same_bits(y, whole.y));
    EXPECT_EQ(pieces.arena(), once.arena());
  }
}

// A decode, a chunk in the middle of a prompt and a fresh prompt in one step, each as it would be alone.
TEST_P(AttentionTest, DoesNotDependOnCompany) {
  const AttentionShape shape{6, 2, 16, 16};
  const std::vector<Chunk> before = {{0, 0, 260}, {1, 0, 9}}, together = {{1, 9, 30}, {0, 260, 1}, {2, 0, 17}};
  AttentionCase mixed = make(shape, {261, 39, 17}), alone = make(shape, {261, 39, 17});
  mixed.step(worker->get(), before);
  const Result all = mixed.step(worker->get(), together);
  std::vector<float> y;
  for (const Chunk& chunk : before) alone.step(worker->get(), {chunk});
  for (const Chunk& chunk : together) {
    const Result one = alone.step(worker->get(), {chunk});
    y.insert(y.end(), one.y.begin(), one.y.end());
  }
  EXPECT_TRUE(same_bits(all.y, y));
}

TEST_P(AttentionTest, DoesNotDependOnTheNumberOfThreads) {
  const AttentionShape shape{6, 3, 16, 16};
  const std::vector<int64_t> lengths = {290, 3, 1, 50};
  AttentionCase two = make(shape, lengths);
  const Result expected = two.whole(worker->get());
  for (int threads : {1, 3}) {
    const Worker other(GetParam().device, threads);
    AttentionCase here = make(shape, lengths);
    EXPECT_TRUE(same_bits(here.whole(other.get()).y, expected.y)) << threads << " threads";
    EXPECT_EQ(here.arena(), two.arena());
  }
}

TEST_P(AttentionTest, CountsWhatItClamps) {
  const AttentionShape shape{2, 2, 16};
  AttentionCase here = make(shape, {40}), there = make(shape, {40});
  here.magnify(5e6f);
  there.magnify(5e6f);
  const Result got = here.whole(worker->get()), expected = there.whole(nullptr);
  EXPECT_GT(expected.clamped, 0);
  EXPECT_EQ(got.clamped, expected.clamped);
  EXPECT_EQ(here.arena(), there.arena());
}

// Its workspace is enough however the query heads share KV heads.
TEST_P(AttentionTest, TheWorkspaceThatItAsksForIsEnough) {
  const std::pair<int64_t, int64_t> heads[] = {{5, 5}, {5, 1}, {8, 8}, {7, 7}, {32, 1}, {24, 8}};
  for (auto [q_heads, kv_heads] : heads) {
    const Worker tight(GetParam().device, 1, {.max_tokens = 1, .max_cols = 16, .heads = q_heads, .head_dim = 256});
    const AttentionShape shape{q_heads, kv_heads, 256, 256};
    AttentionCase here = make(shape, {30}), there = make(shape, {30});
    EXPECT_TRUE(same_bits(here.whole(tight.get()).y, there.whole(nullptr).y));
  }
}

INSTANTIATE_TEST_SUITE_P(AllFormats, AttentionTest, testing::ValuesIn(all_params()), name_of);

}  // namespace
}  // namespace halftone::test
