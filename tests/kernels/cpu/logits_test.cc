// The reduction of logits on every device, against the reference and against what sorting says.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "kernels/reference/exact.h"
#include "kernels/reference/operations.h"
#include "tests/kernels/devices.h"
#include "tests/kernels/same_bits.h"

namespace halftone::test {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

class LogitsTest : public OnEachDevice<TestDevice> {
 protected:
  void SetUp() override { start(GetParam()); }

  void reduce(LogitReduction& row) { (*worker)->reduce_logits({&row, 1}); }

  // Here and in the reference: every result the same.
  void expect_reference(LogitReduction row) {
    SCOPED_TRACE("vocabulary " + std::to_string(row.vocabulary));
    LogitReduction expected = row;
    reduce(row);
    reference::reduce_logits(expected);
    EXPECT_EQ(row.finite, expected.finite);
    EXPECT_TRUE(same_bits({&row.logsumexp, 1}, {&expected.logsumexp, 1}));
    EXPECT_TRUE(same_bits({&row.edited_logsumexp, 1}, {&expected.edited_logsumexp, 1}));
    EXPECT_EQ(row.target_rank, expected.target_rank);
    EXPECT_EQ(row.target_logit, expected.target_logit);
    expect_same_candidates(row.raw, expected.raw);
    expect_same_candidates(row.edited, expected.edited);
  }
};

TEST_P(LogitsTest, HasTheBitsOfTheReferenceForEveryVocabulary) {
  std::mt19937 random(1);
  for (int64_t vocabulary : {1, 2, 15, 16, 17, 31, 100, 1000, 49152}) {
    const std::vector<float> logits = normal_floats(random, vocabulary, 4);
    LogitReduction row;
    row.logits = logits.data();
    row.vocabulary = vocabulary;
    row.raw_best = 20;
    row.target = static_cast<int32_t>(vocabulary / 2);
    expect_reference(row);
    row.edited_best = 256;
    row.inverse_temperature = 1 / 0.7f;
    expect_reference(row);
  }
}

TEST_P(LogitsTest, LogsumexpLiesWithinTheBoundOfDouble) {
  std::mt19937 random(2);
  for (float spread : {0.0f, 1.0f, 30.0f, 1000.0f}) {
    const std::vector<float> logits = normal_floats(random, 5000, spread);
    LogitReduction row;
    row.logits = logits.data();
    row.vocabulary = 5000;
    reduce(row);
    const reference::Bounded exact = reference::exact_logsumexp(logits);
    EXPECT_TRUE(within_bounds({&row.logsumexp, 1}, {&exact, 1}));
  }
}

TEST_P(LogitsTest, EqualLogitsComeByAscendingId) {
  std::vector<float> logits(3000);
  for (size_t i = 0; i < logits.size(); ++i) logits[i] = static_cast<float>((i * 7919) % 5);
  LogitReduction row;
  row.logits = logits.data();
  row.vocabulary = 3000;
  row.raw_best = 700;
  row.edited_best = 300;
  row.target = 4;
  expect_reference(row);
  reduce(row);
  for (size_t i = 1; i < row.raw.size(); ++i) {
    const LogitCandidate &a = row.raw[i - 1], &b = row.raw[i];
    EXPECT_TRUE(a.logit > b.logit || (a.logit == b.logit && a.id < b.id)) << "candidate " << i;
  }
}

TEST_P(LogitsTest, EditsChangeTheEditedRowOnly) {
  std::mt19937 random(3);
  const std::vector<float> logits = normal_floats(random, 777, 3);
  const int32_t best = static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
  std::vector<LogitEdit> edits = {{.id = 0, .add = 500},
                                  {.id = 5, .add = -kInfinity},
                                  {.id = best, .add = -kInfinity},
                                  {.id = 700, .repetition = 1.3f, .subtract = 0.7f, .add = 0.25f},
                                  {.id = 776, .subtract = -400}};
  std::sort(edits.begin(), edits.end(), [](const LogitEdit& a, const LogitEdit& b) { return a.id < b.id; });
  LogitReduction row;
  row.logits = logits.data();
  row.vocabulary = 777;
  row.edits = edits;
  row.raw_best = 3;
  row.edited_best = 10;
  row.target = best;
  for (float inverse_temperature : {1.0f, 0.5f, 1e4f}) {
    row.inverse_temperature = inverse_temperature;
    expect_reference(row);
  }
  reduce(row);
  EXPECT_EQ(row.raw[0].id, best);
  EXPECT_EQ(row.target_rank, 1u);
  EXPECT_EQ(row.edited[0].id, 0);
  EXPECT_EQ(row.edited[1].id, 776);
  for (const LogitCandidate& candidate : row.edited) EXPECT_NE(candidate.id, best);
}

TEST_P(LogitsTest, EverythingButOneMaskedLeavesThatOne) {
  std::mt19937 random(4);
  const std::vector<float> logits = normal_floats(random, 100, 3);
  std::vector<LogitEdit> edits;
  for (int32_t id = 0; id < 100; ++id) {
    if (id != 42) edits.push_back({.id = id, .add = -kInfinity});
  }
  LogitReduction row;
  row.logits = logits.data();
  row.vocabulary = 100;
  row.edits = edits;
  row.edited_best = 256;
  expect_reference(row);
  reduce(row);
  EXPECT_EQ(row.edited[0].id, 42);
  EXPECT_EQ(row.edited_logsumexp, logits[42]);
}

TEST_P(LogitsTest, AnInfinitelySmallLogitIsNoCandidateUnlessItIsAnEdit) {
  std::vector<float> logits(40, -kInfinity);
  logits[3] = 1;
  logits[30] = 2;
  const std::vector<LogitEdit> edits = {
      {.id = 3, .add = -kInfinity}, {.id = 7, .add = 0.5f}, {.id = 39, .subtract = 1}};
  LogitReduction row;
  row.logits = logits.data();
  row.vocabulary = 40;
  row.edits = edits;
  row.raw_best = 10;
  row.edited_best = 10;
  expect_reference(row);
  reduce(row);
  EXPECT_TRUE(row.finite);
  expect_same_candidates(row.raw, {{30, 2, 2}, {3, 1, 1}});
  expect_same_candidates(row.edited,
                         {{30, 2, 2}, {3, -kInfinity, 1}, {7, -kInfinity, -kInfinity}, {39, -kInfinity, -kInfinity}});
}

TEST_P(LogitsTest, SaysWhenARowIsNotFinite) {
  std::mt19937 random(5);
  const std::vector<float> logits = normal_floats(random, 200, 3);
  for (float bad : {std::numeric_limits<float>::quiet_NaN(), kInfinity}) {
    for (size_t at : {size_t{0}, size_t{17}, size_t{199}}) {
      std::vector<float> broken = logits;
      broken[at] = bad;
      LogitReduction row;
      row.logits = broken.data();
      row.vocabulary = 200;
      row.raw_best = 5;
      reduce(row);
      EXPECT_FALSE(row.finite) << bad << " at " << at;
    }
  }
}

TEST_P(LogitsTest, ManyRowsAreEachAsTheyAreAlone) {
  std::mt19937 random(6);
  const std::vector<float> logits = normal_floats(random, 37 * 500, 4);
  std::vector<LogitReduction> rows(37);
  for (size_t i = 0; i < rows.size(); ++i) {
    rows[i].logits = &logits[i * 500];
    rows[i].vocabulary = 500;
    rows[i].raw_best = static_cast<int64_t>(i);
    rows[i].target = static_cast<int32_t>(i);
  }
  std::vector<LogitReduction> expected = rows;
  (*worker)->reduce_logits(rows);
  for (size_t i = 0; i < rows.size(); ++i) {
    reference::reduce_logits(expected[i]);
    EXPECT_TRUE(same_bits({&rows[i].logsumexp, 1}, {&expected[i].logsumexp, 1}));
    EXPECT_EQ(rows[i].target_rank, expected[i].target_rank);
    expect_same_candidates(rows[i].raw, expected[i].raw);
  }
}

INSTANTIATE_TEST_SUITE_P(AllDevices, LogitsTest, testing::ValuesIn(all_test_devices()),
                         [](const auto& info) { return info.param.name + "_" + info.param.isa; });

}  // namespace
}  // namespace halftone::test
