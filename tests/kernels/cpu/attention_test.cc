// What the CPU's attention must not depend on: chunks, company, threads, a tight workspace. The rest is with the tests
// of every device (tests/kernels/devices).
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
};

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
