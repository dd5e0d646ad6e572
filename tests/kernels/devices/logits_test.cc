// The reduction of logits on every device: candidates as sorting finds them, sums as the device's class says.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/reference/operations.h"
#include "tests/kernels/devices/every_device.h"
#include "tests/kernels/same_bits.h"

namespace halftone::test {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

class LogitsOperation : public OnDeviceParam {
 protected:
  LogitReduction reduce(const std::vector<float>& logits, LogitReduction row) {
    const OnDevice<float> on_device(**worker, logits);
    row.logits = on_device.data(), row.vocabulary = std::ssize(logits);
    (*worker)->reduce_logits({&row, 1});
    EXPECT_TRUE(same_bits(on_device.download(), logits)) << "the row was changed";
    if (row.target >= 0 && row.finite) {
      EXPECT_EQ((*worker)->rank(on_device.data(), row.vocabulary, row.target), row.target_rank);
    }
    return row;
  }

  // Here and in the reference: all results the same, but for the last bits of sums where the device is not ordered.
  void expect_reference(const std::vector<float>& logits, LogitReduction row) {
    SCOPED_TRACE("vocabulary " + std::to_string(logits.size()));
    LogitReduction expected = row;
    expected.logits = logits.data(), expected.vocabulary = std::ssize(logits);
    reference::reduce_logits(expected);
    row = reduce(logits, row);
    ASSERT_EQ(row.finite, expected.finite);
    if (!row.finite) return;
    expect_logsumexp(row.logsumexp, expected.logsumexp, logits, 1);
    if (row.edited_best > 0) {
      expect_logsumexp(row.edited_logsumexp, expected.edited_logsumexp, edited(logits, row), row.inverse_temperature);
    }
    if (row.target >= 0) {
      EXPECT_EQ(row.target_rank, expected.target_rank);
      EXPECT_EQ(row.target_logit, expected.target_logit);
    }
    expect_same_candidates(row.raw, expected.raw);
    expect_same_candidates(row.edited, expected.edited);
  }

  // Of scale * row.
  void expect_logsumexp(float got, float ordered, const std::vector<float>& row, float scale) const {
    const reference::Bounded exact = reference::exact_logsumexp(row, scale, additions(std::ssize(row)));
    EXPECT_TRUE(agrees(**worker, {&got, 1}, {&ordered, 1}, {&exact, 1}));
  }

 private:
  // That a term goes through. CUDA: a thread adds up every 256th one, a warp its lanes by a tree, the CTA its eight
  // warps one after the other. Ordered: sixteen lanes, and a tree.
  int64_t additions(int64_t vocabulary) const {
    return is_ordered(**worker) ? (vocabulary + 15) / 16 + 4 : (vocabulary + 255) / 256 + 5 + 7;
  }
  // Edits are exact, so only what comes after them has a bound.
  static std::vector<float> edited(std::vector<float> logits, const LogitReduction& row) {
    for (const LogitEdit& edit : row.edits) {
      float& logit = logits[static_cast<size_t>(edit.id)];
      logit = edit.apply(logit);
    }
    return logits;
  }
};

TEST_P(LogitsOperation, EveryVocabulary) {
  std::mt19937 random(1);
  for (int64_t vocabulary : {1, 2, 15, 16, 17, 31, 100, 255, 256, 257, 1000, 5000, 49152}) {
    if (vocabulary > 5000 && !is_ordered(**worker)) continue;  // fibers would take seconds
    const std::vector<float> logits = normal_floats(random, vocabulary, 4);
    LogitReduction row;
    row.raw_best = 20;
    row.target = static_cast<int32_t>(vocabulary / 2);
    expect_reference(logits, row);
    row.edited_best = 256;
    row.inverse_temperature = 1 / 0.7f;
    expect_reference(logits, row);
  }
}

TEST_P(LogitsOperation, EverySpread) {
  std::mt19937 random(2);
  for (float spread : {0.0f, 1.0f, 30.0f, 1000.0f}) expect_reference(normal_floats(random, 5000, spread), {});
}

// More than one call of CUDA's kernel brings, equal ones by ascending id, and the whole row.
TEST_P(LogitsOperation, ManyCandidates) {
  std::vector<float> logits(1500);
  for (size_t i = 0; i < logits.size(); ++i) logits[i] = static_cast<float>((i * 7919) % 5) - 2;
  LogitReduction row;
  row.raw_best = 700;
  row.edited_best = 1500;
  row.target = 4;
  expect_reference(logits, row);
  row = reduce(logits, row);
  for (size_t i = 1; i < row.raw.size(); ++i) {
    const LogitCandidate &a = row.raw[i - 1], &b = row.raw[i];
    EXPECT_TRUE(a.logit > b.logit || (a.logit == b.logit && a.id < b.id)) << "candidate " << i;
  }
}

TEST_P(LogitsOperation, EditsAndMasks) {
  std::mt19937 random(3);
  std::vector<float> logits = normal_floats(random, 777, 3);
  logits[20] = -kInfinity;  // no candidate
  logits[30] = -0.0f, logits[31] = 0.0f;
  const std::vector<LogitEdit> edits = {{0, 1, 0, 50},          {5, 1, 0, -kInfinity}, {7, 1.3f, 0.25f, 0},
                                        {20, 1, 0, -kInfinity}, {70, 1.1f, 0, 1},      {776, 2, 1, 49}};
  LogitReduction row;
  row.edits = edits;
  row.raw_best = 3;
  row.target = 7;
  for (int64_t best : {10, 777}) {
    row.edited_best = best;
    for (float inverse_temperature : {1.0f, 0.5f}) {
      row.inverse_temperature = inverse_temperature;
      expect_reference(logits, row);
    }
  }
}

TEST_P(LogitsOperation, EditsChangeTheEditedRowOnly) {
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
  row.edits = edits;
  row.raw_best = 3;
  row.edited_best = 10;
  row.target = best;
  for (float inverse_temperature : {1.0f, 0.5f, 1e4f}) {
    row.inverse_temperature = inverse_temperature;
    expect_reference(logits, row);
  }
  row = reduce(logits, row);
  ASSERT_EQ(row.edited.size(), 10u);
  EXPECT_EQ(row.raw[0].id, best);
  EXPECT_EQ(row.target_rank, 1u);
  EXPECT_EQ(row.edited[0].id, 0);
  EXPECT_EQ(row.edited[1].id, 776);
  for (const LogitCandidate& candidate : row.edited) EXPECT_NE(candidate.id, best);
}

TEST_P(LogitsOperation, EverythingButOneMaskedLeavesThatOne) {
  std::mt19937 random(4);
  const std::vector<float> logits = normal_floats(random, 100, 3);
  std::vector<LogitEdit> edits;
  for (int32_t id = 0; id < 100; ++id) {
    if (id != 42) edits.push_back({.id = id, .add = -kInfinity});
  }
  LogitReduction row;
  row.edits = edits;
  row.edited_best = 256;
  expect_reference(logits, row);
  row = reduce(logits, row);
  EXPECT_EQ(row.edited[0].id, 42);
  EXPECT_EQ(row.edited_logsumexp, logits[42]);
}

TEST_P(LogitsOperation, AnInfinitelySmallLogitIsNoCandidateUnlessItIsAnEdit) {
  std::vector<float> logits(40, -kInfinity);
  logits[3] = 1;
  logits[30] = 2;
  const std::vector<LogitEdit> edits = {
      {.id = 3, .add = -kInfinity}, {.id = 7, .add = 0.5f}, {.id = 39, .subtract = 1}};
  LogitReduction row;
  row.edits = edits;
  row.raw_best = 10;
  row.edited_best = 10;
  expect_reference(logits, row);
  row = reduce(logits, row);
  EXPECT_TRUE(row.finite);
  expect_same_candidates(row.raw, {{30, 2, 2}, {3, 1, 1}});
  expect_same_candidates(row.edited,
                         {{30, 2, 2}, {3, -kInfinity, 1}, {7, -kInfinity, -kInfinity}, {39, -kInfinity, -kInfinity}});
}

TEST_P(LogitsOperation, RowsThatAreNotFinite) {
  std::mt19937 random(5);
  const std::vector<float> logits = normal_floats(random, 300, 3);
  LogitReduction row;
  row.raw_best = 5, row.edited_best = 5;
  for (float value : {kInfinity, std::numeric_limits<float>::quiet_NaN()}) {
    for (size_t at : {size_t{0}, size_t{17}, size_t{123}, size_t{299}}) {
      std::vector<float> broken = logits;
      broken[at] = value;
      EXPECT_FALSE(reduce(broken, row).finite) << value << " at " << at;
    }
  }
  row.edited_best = 0;
  expect_reference(std::vector<float>(300, -kInfinity), row);
}

TEST_P(LogitsOperation, ManyRowsAreEachAsTheyAreAlone) {
  std::mt19937 random(6);
  const std::vector<float> logits = normal_floats(random, 37 * 500, 4);
  const OnDevice<float> on_device(**worker, logits);
  std::vector<LogitReduction> rows(37);
  for (size_t i = 0; i < rows.size(); ++i) {
    rows[i].logits = on_device.data() + i * 500;
    rows[i].vocabulary = 500;
    rows[i].raw_best = static_cast<int64_t>(i);
    rows[i].target = static_cast<int32_t>(i);
  }
  (*worker)->reduce_logits(rows);
  for (size_t i = 0; i < rows.size(); ++i) {
    LogitReduction expected = rows[i];
    const std::vector<float> own(&logits[i * 500], &logits[i * 500] + 500);
    expected.logits = own.data();
    reference::reduce_logits(expected);
    expect_logsumexp(rows[i].logsumexp, expected.logsumexp, own, 1);
    EXPECT_EQ(rows[i].target_rank, expected.target_rank);
    expect_same_candidates(rows[i].raw, expected.raw);
  }
}

TEST_P(LogitsOperation, ARankIsOneMoreThanTheNumberOfGreaterLogits) {
  for (int64_t vocabulary : {1, 15, 16, 100, 1001}) {
    std::vector<float> logits;
    for (int64_t id = 0; id < vocabulary; ++id) logits.push_back(static_cast<float>((id * 7919) % 13));
    logits[0] = -HUGE_VALF;
    const OnDevice<float> on_device(**worker, logits);
    for (int64_t id : {int64_t{0}, vocabulary / 2, vocabulary - 1}) {
      const float own = logits[static_cast<size_t>(id)];
      const auto greater = std::count_if(logits.begin(), logits.end(), [&](float logit) { return logit > own; });
      EXPECT_EQ((*worker)->rank(on_device.data(), vocabulary, static_cast<int32_t>(id)), 1 + greater) << id;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(EveryDevice, LogitsOperation, testing::ValuesIn(every_device()), name_of_device_param);

}  // namespace
}  // namespace halftone::test
