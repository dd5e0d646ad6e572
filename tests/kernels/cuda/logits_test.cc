// The reduction of logits on the CUDA backend: candidates as sorting finds them, sums within the bound of double.
#include <gtest/gtest.h>

#include <limits>

#include "kernels/reference/operations.h"
#include "tests/kernels/cuda/on_cuda.h"
#include "tests/kernels/same_bits.h"

namespace halftone::test {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// That a term goes through: a thread adds up every 256th one, a warp its lanes by a tree, the block its eight warps one
// after the other.
int64_t additions(int64_t vocabulary) { return (vocabulary + 255) / 256 + 5 + 7; }

class CudaLogitsTest : public OnDeviceParam {
 protected:
  // Here and in the reference: all results the same, but for the last bits of sums.
  void expect_reference(const std::vector<float>& logits, LogitReduction row) {
    const OnDevice<float> on_device(**worker, logits);
    LogitReduction expected = row;
    row.logits = on_device.data(), row.vocabulary = std::ssize(logits);
    expected.logits = logits.data(), expected.vocabulary = row.vocabulary;
    (*worker)->reduce_logits({&row, 1});
    reference::reduce_logits(expected);
    EXPECT_TRUE(same_bits(on_device.download(), logits)) << "the row was changed";
    ASSERT_EQ(row.finite, expected.finite);
    if (!row.finite) return;
    const reference::Bounded exact = reference::exact_logsumexp(logits, 1, additions(row.vocabulary));
    EXPECT_TRUE(within_bounds({&row.logsumexp, 1}, {&exact, 1}));
    if (row.edited_best > 0) expect_edited_logsumexp(logits, row);
    EXPECT_EQ(row.target_rank, expected.target_rank);
    EXPECT_EQ(row.target_logit, expected.target_logit);
    if (row.target >= 0) {
      EXPECT_EQ((*worker)->rank(on_device.data(), row.vocabulary, row.target), expected.target_rank);
    }
    expect_same_candidates(row.raw, expected.raw);
    expect_same_candidates(row.edited, expected.edited);
  }

 private:
  // Edits are exact, so only what comes after them has a bound.
  static void expect_edited_logsumexp(std::vector<float> logits, const LogitReduction& row) {
    for (const LogitEdit& edit : row.edits) {
      float& logit = logits[static_cast<size_t>(edit.id)];
      logit = edit.apply(logit);
    }
    const reference::Bounded exact =
        reference::exact_logsumexp(logits, row.inverse_temperature, additions(row.vocabulary));
    EXPECT_TRUE(within_bounds({&row.edited_logsumexp, 1}, {&exact, 1}));
  }
};

TEST_P(CudaLogitsTest, EveryVocabulary) {
  std::mt19937 random(1);
  for (int64_t vocabulary : {1, 2, 31, 255, 256, 257, 5000}) {
    SCOPED_TRACE(vocabulary);
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

// More than one call of the kernel brings, equal ones by ascending id, and the whole row.
TEST_P(CudaLogitsTest, ManyCandidates) {
  std::vector<float> logits(1500);
  for (size_t i = 0; i < logits.size(); ++i) logits[i] = static_cast<float>((i * 7919) % 5) - 2;
  LogitReduction row;
  row.raw_best = 700;
  row.edited_best = 1500;
  row.target = 4;
  expect_reference(logits, row);
}

TEST_P(CudaLogitsTest, EditsAndMasks) {
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

TEST_P(CudaLogitsTest, RowsThatAreNotFinite) {
  for (float value : {kInfinity, std::numeric_limits<float>::quiet_NaN()}) {
    std::vector<float> logits(300, 1.0f);
    logits[123] = value;
    LogitReduction row;
    row.raw_best = 5, row.edited_best = 5;
    expect_reference(logits, row);
  }
  LogitReduction row;
  row.raw_best = 5;
  expect_reference(std::vector<float>(300, -kInfinity), row);
}

INSTANTIATE_TEST_SUITE_P(AllOrders, CudaLogitsTest, testing::ValuesIn(all_cuda_params()), name_of_device_param);

}  // namespace
}  // namespace halftone::test
