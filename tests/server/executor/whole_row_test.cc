// Draws from a whole row without sorting it: the same tokens as from the sorted list, in time that grows with the row
// alone, and well defined whatever a request may say.
#include "server/executor/whole_row.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "server/executor/sampler.h"

namespace halftone {
namespace {

constexpr float kMost = std::numeric_limits<float>::max();
constexpr float kLeast = std::numeric_limits<float>::denorm_min();

std::vector<float> random_row(uint64_t seed, size_t vocabulary, float spread) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal(0, spread);
  std::vector<float> row(vocabulary);
  for (float& logit : row) logit = normal(random);
  return row;
}

std::vector<LogitCandidate> sorted(const std::vector<float>& logits, const std::vector<LogitEdit>& edits) {
  std::vector<LogitCandidate> all;
  for (size_t id = 0; id < logits.size(); ++id) all.push_back({static_cast<int32_t>(id), logits[id], logits[id]});
  for (const LogitEdit& edit : edits) {
    LogitCandidate& candidate = all[static_cast<size_t>(edit.id)];
    candidate.logit = edit.apply(candidate.raw);
  }
  std::stable_sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.logit > b.logit; });
  return all;
}

// What a request draws from the row, by the sorted list and from the row itself.
void expect_one_token(const SamplingParams& params, const std::vector<float>& logits,
                      const std::vector<LogitEdit>& edits) {
  const std::vector<LogitCandidate> all = sorted(logits, edits);
  for (int64_t position = 0; position < 5; ++position) {
    const std::optional<size_t> index = choose(params, position, all, true, NAN);
    ASSERT_TRUE(index.has_value());
    const LogitCandidate drawn = choose_from_row(params, position, logits, edits, all[0].logit);
    ASSERT_EQ(drawn.id, all[*index].id) << "T " << params.temperature << " top_k " << params.top_k << " top_p "
                                        << params.top_p << " min_p " << params.min_p << " at " << position;
    EXPECT_EQ(drawn.raw, logits[static_cast<size_t>(drawn.id)]);
    EXPECT_EQ(drawn.logit, all[*index].logit);
  }
}

TEST(WholeRow, ExponentialsAreThoseOfDouble) {
  for (double x = -708; x <= 0; x += 0.00917) {
    ASSERT_NEAR(exp_of_negative(x) / std::exp(x), 1, 3e-15) << x;
  }
  EXPECT_EQ(exp_of_negative(0), 1);
  EXPECT_EQ(exp_of_negative(-709), 0);
  EXPECT_EQ(exp_of_negative(-HUGE_VAL), 0);
}

TEST(WholeRow, DrawsTheTokenOfTheSortedListWhateverIsCut) {
  const std::vector<LogitEdit> nothing,
      some = {
          {.id = 0, .add = 5}, {.id = 255, .repetition = 1.5f}, {.id = 256, .add = -HUGE_VALF}, {.id = 700, .add = 3}};
  uint64_t seed = 1;
  for (size_t vocabulary : {size_t{1}, size_t{2}, size_t{255}, size_t{256}, size_t{257}, size_t{3000}}) {
    for (float temperature : {0.05f, 1.0f, 2.0f, 100.0f}) {
      for (uint32_t top_k : {0u, 1u, 300u, 4294967295u}) {
        for (float top_p : {1.0f, 0.999999f, 0.9f, 1e-30f}) {
          for (float min_p : {0.0f, 1e-4f, 0.5f, 0.99999994f}) {
            SamplingParams params{.temperature = temperature, .top_p = top_p, .top_k = top_k, .min_p = min_p};
            params.seed = ++seed;
            const std::vector<float> row = random_row(seed, vocabulary, 3);
            expect_one_token(params, row, vocabulary > 700 && seed % 2 == 0 ? some : nothing);
            if (HasFatalFailure()) return;
          }
        }
      }
    }
  }
}

TEST(WholeRow, EqualLogitsStandByAscendingId) {
  std::vector<float> row(2000);
  for (size_t i = 0; i < row.size(); ++i) row[i] = i % 3 == 0 ? -0.0f : i % 3 == 1 ? 0.0f : -1.0f;
  for (uint64_t seed = 0; seed < 30; ++seed) {
    for (uint32_t top_k : {0u, 400u, 1500u}) {
      expect_one_token({.temperature = 1, .top_k = top_k, .seed = seed}, row, {});
      expect_one_token({.temperature = 100, .top_p = 0.5f, .top_k = top_k, .seed = seed}, row, {});
    }
  }
}

TEST(WholeRow, TakesOneTimeWhateverTheValuesAre) {
  const size_t vocabulary = 50000;
  std::vector<float> close = random_row(1, vocabulary, 1e-3f), outlier = random_row(2, vocabulary, 1);
  for (float& logit : close) logit += 10;  // all in one bin
  outlier[7] = 1e30f;
  const auto seconds = [&](const std::vector<float>& row, const SamplingParams& params) {
    const float best = *std::max_element(row.begin(), row.end());
    double least = 1;
    for (int i = 0; i < 5; ++i) {
      const auto began = std::chrono::steady_clock::now();
      choose_from_row(params, i, row, {}, best);
      least = std::min(least, std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count());
    }
    return least;
  };
  const double plain = seconds(random_row(3, vocabulary, 3), {.temperature = 100});
  const double times = HALFTONE_SANITIZED ? 60 : 12;  // a sanitizer makes some loops dearer than others
  for (const std::vector<float>& row : {close, outlier}) {
    for (const SamplingParams& params :
         {SamplingParams{.temperature = 100}, SamplingParams{.top_p = 0.999999f}, SamplingParams{.top_k = 49999},
          SamplingParams{.temperature = 3, .top_p = 0.99f, .top_k = 40000, .min_p = 1e-6f}}) {
      EXPECT_LT(seconds(row, params), times * plain + 2e-3);
    }
  }
}

// Every extreme of every range, and rows of every kind: a token of the vocabulary, the same as from the sorted list,
// and never a forbidden one.
TEST(Degenerate, WhateverARequestSaysTheDrawIsWellDefined) {
  std::vector<std::vector<float>> rows = {random_row(1, 600, 3), std::vector<float>(600, 0.0f),
                                          std::vector<float>(600, -kMost), random_row(2, 600, 1e37f),
                                          random_row(3, 600, 1e-40f)};
  rows.push_back(rows[0]);
  for (size_t i = 0; i < 590; ++i) rows.back()[i] = -HUGE_VALF;
  std::vector<LogitEdit> shrunk, grown;
  for (int32_t id = 0; id < 600; id += 2) shrunk.push_back({.id = id, .repetition = kLeast, .subtract = -1e4f});
  for (int32_t id = 1; id < 600; ++id) grown.push_back({.id = id, .repetition = 100, .subtract = 1e6f, .add = -100});
  grown[3].add = -HUGE_VALF;  // id 4
  for (const std::vector<float>& row : rows) {
    for (const std::vector<LogitEdit>& edits : {std::vector<LogitEdit>{}, shrunk, grown}) {
      const std::vector<LogitCandidate> all = sorted(row, edits);
      for (float temperature : {kLeast, 2.9e-39f, 3e-39f, 1e-38f, 1e-20f, 1e-3f, 1.0f, 100.0f}) {
        for (float top_p : {kLeast, 0.5f, 1.0f}) {
          for (float min_p : {0.0f, kLeast, 0.99999994f}) {
            SamplingParams params{.temperature = temperature, .top_p = top_p, .min_p = min_p};
            params.seed = static_cast<uint64_t>(temperature * 1e6f) + 3;
            for (float logsumexp : {0.0f, HUGE_VALF, NAN}) {
              const auto index = choose(params, 5, std::span(all).first(256), false, logsumexp);
              if (index) {
                ASSERT_LT(*index, 256u);
                EXPECT_GT(all[*index].logit, -HUGE_VALF) << temperature;
              }
            }
            if (is_greedy(params)) continue;
            expect_one_token(params, row, edits);
            const LogitCandidate drawn = choose_from_row(params, 5, row, edits, all[0].logit);
            ASSERT_GE(drawn.id, 0);
            ASSERT_LT(drawn.id, 600);
            EXPECT_GT(edits.empty() ? drawn.raw : drawn.logit, -HUGE_VALF);
          }
        }
      }
    }
  }
}

TEST(Degenerate, ATemperatureWhoseInverseIsNotFiniteIsGreedy) {
  const std::vector<LogitCandidate> all = sorted(random_row(5, 300, 3), {});
  for (float temperature : {-0.0f, 0.0f, kLeast, 1e-40f, 2.9e-39f}) {
    SamplingParams params{.temperature = temperature};
    EXPECT_TRUE(is_greedy(params)) << temperature;
    EXPECT_EQ(inverse_temperature(params), 0) << temperature;
    for (params.seed = 0; params.seed < 50; ++params.seed) {
      EXPECT_EQ(choose(params, 1, all, true, 0), 0u) << temperature;
    }
  }
  EXPECT_FALSE(is_greedy({.temperature = 3e-39f}));
}

// Where 1/T is finite and the device's sum is not, the best candidates still tell.
TEST(Degenerate, ASumThatOverflowedAsksForNoRowWhereOneCandidateHasAllTheMass) {
  const std::vector<LogitCandidate> all = sorted(random_row(5, 300, 3), {});
  for (float temperature : {3e-39f, 1e-38f, 1e-30f, 1e-10f}) {
    for (float sum : {HUGE_VALF, -HUGE_VALF, NAN, 1e30f}) {
      SamplingParams params{.temperature = temperature};
      EXPECT_EQ(choose(params, 1, std::span(all).first(256), false, sum), 0u) << temperature;
    }
  }
}

TEST(Degenerate, LogitsThatPenaltiesDroveBeyondTheFloatsAreEquallyProbable) {
  const std::vector<float> row = {5, 10, 4, 3, 2};
  const std::vector<LogitEdit> edits = {{.id = 0, .repetition = 1e-39f}, {.id = 1, .repetition = 1e-39f}};
  const std::vector<LogitCandidate> all = sorted(row, edits);
  ASSERT_EQ(all[1].logit, HUGE_VALF);
  std::vector<int> counts(5);
  SamplingParams params;
  for (params.seed = 0; params.seed < 1000; ++params.seed) {
    ++counts[static_cast<size_t>(choose_from_row(params, 1, row, edits, HUGE_VALF).id)];
  }
  EXPECT_NEAR(counts[0], 500, 70);
  EXPECT_EQ(counts[0] + counts[1], 1000);
  expect_one_token(params, row, edits);
}

}  // namespace
}  // namespace halftone
