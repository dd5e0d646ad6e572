// What comes back with a row of logits: scores, candidates, choices.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "server/executor/sampler.h"
#include "tests/server/executor/executor_rig.h"
#include "tests/server/executor/plain_sampler.h"
#include "tests/server/model/memory_source.h"

namespace halftone {
namespace {

constexpr int64_t kPrompt = 20;

class Rows : public testing::TestWithParam<int64_t> {  // the vocabulary: below and above the number of candidates
 protected:
  Rows() {
    TinyCheckpoint tiny;
    tiny.config.vocabulary = GetParam();
    rig_ = std::make_unique<ExecutorRig>(tiny_source(tiny), RigOptions{.modes = {"f32", "w4a16+kv8"}, .logit_rows = 3});
    prompt_ = random_tokens(3, kPrompt, GetParam());
    pages_ = rig_->take_pages(0, kPrompt);
    whole_ = rig_->run(0, prompt_, pages_, kPrompt);
  }

  // The last token once more: its row, as wanted.
  RowResult last_row(LogitRow row) {
    row.token = 0;
    const Piece piece{
        .tokens = std::span(prompt_).last(1), .first_position = kPrompt - 1, .pages = pages_, .rows = {&row, 1}};
    return rig_->step(0, {&piece, 1}).rows.at(0);
  }
  std::vector<double> last_logits() const { return logits_of(whole_.back()); }

  std::unique_ptr<ExecutorRig> rig_;
  std::vector<int32_t> prompt_;
  std::vector<PageId> pages_;
  std::vector<RowResult> whole_;
};

TEST_P(Rows, HoldTheLogOfTheSumOfAllExponentials) {
  for (const RowResult& row : whole_) {
    double sum = 0;
    for (double logit : logits_of(row)) sum += std::exp(logit);
    EXPECT_NEAR(static_cast<double>(row.logsumexp), std::log(sum), 1e-5);
  }
}

TEST_P(Rows, ScoreEveryTargetWithItsLogProbabilityAndRank) {
  const std::vector<double> logits = last_logits();
  const double sum = static_cast<double>(whole_.back().logsumexp);
  for (int32_t target = 0; target < GetParam(); target += 7) {
    const double logit = logits[static_cast<size_t>(target)];
    LogitRow row;
    row.target = target;
    const RowResult result = last_row(row);
    EXPECT_EQ(result.token, target);
    EXPECT_NEAR(static_cast<double>(result.logprob), logit - sum, 2e-6 * (1 + std::fabs(logit)));
    EXPECT_EQ(result.rank, 1 + std::count_if(logits.begin(), logits.end(), [&](double l) { return l > logit; }));
    EXPECT_EQ(result.logsumexp, whole_.back().logsumexp);
    EXPECT_TRUE(result.top.empty());
  }
}

TEST_P(Rows, TheBestCandidatesAreThoseOfASortedRow) {
  const std::vector<double> logits = last_logits();
  std::vector<int32_t> ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  std::stable_sort(ids.begin(), ids.end(), [&](int32_t a, int32_t b) {
    return logits[static_cast<size_t>(a)] > logits[static_cast<size_t>(b)];
  });
  for (uint32_t top : {1u, 5u, 20u, static_cast<uint32_t>(GetParam())}) {
    LogitRow row;
    row.target = 4;
    row.top = top;
    const RowResult result = last_row(row);
    ASSERT_EQ(result.top.size(), top);
    for (size_t i = 0; i < top; ++i) {
      EXPECT_EQ(result.top[i].id, ids[i]) << i;
      EXPECT_EQ(result.top[i].logprob, whole_.back().top[i].logprob);
    }
  }
}

TEST_P(Rows, WantedInAnyNumberComeBackInTheirOrder) {
  for (ModeIndex mode : {0, 1}) {
    const std::vector<PageId> a_pages = rig_->take_pages(mode, kPrompt), b_pages = rig_->take_pages(mode, kPrompt);
    const std::vector<int32_t> other = random_tokens(4, kPrompt, GetParam());
    const std::vector<RowResult> expected_a = rig_->run(mode, prompt_, kPrompt);
    const std::vector<RowResult> expected_b = rig_->run(mode, other, kPrompt);
    std::vector<LogitRow> a_rows, b_rows;  // 7 and 4 of them, three reduced at once
    std::vector<RowResult> expected;
    auto want = [&](int64_t token, std::vector<LogitRow>& rows, const std::vector<RowResult>& from) {
      LogitRow row;
      row.token = token;
      row.target = 0;
      row.top = static_cast<uint32_t>(GetParam());
      rows.push_back(row);
      expected.push_back(from[static_cast<size_t>(token)]);
    };
    for (int64_t token : {0, 1, 2, 5, 11, 18, 19}) want(token, a_rows, expected_a);
    for (int64_t token : {3, 4, 5, 19}) want(token, b_rows, expected_b);
    const Piece pieces[] = {{prompt_, 0, a_pages, a_rows}, {other, 0, b_pages, b_rows}};
    expect_same_rows(expected, rig_->step(mode, pieces).rows, "eleven of forty rows");
  }
}

TEST_P(Rows, GreedyTakesTheBestAndReportsIt) {
  SamplingParams sampling;
  sampling.temperature = 0;
  LogitRow row;
  row.sampling = &sampling;
  row.top = 2;
  const RowResult result = last_row(row);
  EXPECT_EQ(result.token, whole_.back().top[0].id);
  EXPECT_EQ(result.logprob, whole_.back().top[0].logprob);
  EXPECT_EQ(result.rank, 1u);
}

TEST_P(Rows, DrawsAgreeWithAPlainSamplerWhateverIsEdited) {
  std::vector<TokenCount> counts;
  for (int32_t i = 0; i < 12; ++i) counts.push_back({i * 5, i % 2 == 0, i % 4});
  const int32_t best = whole_.back().top[0].id, second = whole_.back().top[1].id;
  SamplingParams plain, penalties{.repetition_penalty = 1.3f, .presence_penalty = 0.4f, .frequency_penalty = 0.25f};
  SamplingParams biased{.logit_bias = {{best, -3.0f}, {7, 9.0f}, {11, -100.0f}}};
  const std::vector<int32_t> nothing, forbidden = {best, second};
  int beyond = 0;
  for (const SamplingParams& edits : {plain, penalties, biased}) {
    for (const std::vector<int32_t>& banned : {nothing, forbidden}) {
      std::vector<double> logits = last_logits();
      plain_edits(edits, counts, banned, logits);
      for (float temperature : {0.0f, 1e-45f, 1e-39f, 1e-38f, 1e-3f, 0.7f, 1.0f, 1e3f}) {
        SamplingParams sampling = edits;
        sampling.temperature = temperature;
        for (sampling.seed = 0; sampling.seed < 12; ++sampling.seed) {
          LogitRow row;
          row.sampling = &sampling;
          row.counts = counts;
          row.banned = banned;
          const RowResult result = last_row(row);
          ASSERT_EQ(result.token, plain_sample(sampling, logits, draw(sampling.seed, kPrompt - 1)))
              << "temperature " << temperature << ", seed " << sampling.seed << ", banned " << banned.size();
          EXPECT_EQ(result.logsumexp, whole_.back().logsumexp) << "raw, whatever is edited";
          const double raw = last_logits()[static_cast<size_t>(result.token)];
          EXPECT_NEAR(static_cast<double>(result.logprob), raw - static_cast<double>(result.logsumexp), 1e-5);
          const auto at = std::find_if(whole_.back().top.begin(), whole_.back().top.end(),
                                       [&](const Candidate& c) { return c.id == result.token; });
          beyond += at - whole_.back().top.begin() >= kSampleCandidates ? 1 : 0;
        }
      }
    }
  }
  if (GetParam() > kSampleCandidates + 100) {
    EXPECT_GT(beyond, 0) << "some draws are beyond the best candidates";
  }
}

TEST_P(Rows, ATokenThatWasDrawnHasItsRankWhereCandidatesAreWanted) {
  SamplingParams sampling{.temperature = 1e3f};
  for (sampling.seed = 0; sampling.seed < 10; ++sampling.seed) {
    LogitRow row;
    row.sampling = &sampling;
    row.top = 1;
    const RowResult result = last_row(row);
    const std::vector<double> logits = last_logits();
    const double own = logits[static_cast<size_t>(result.token)];
    EXPECT_EQ(result.rank, 1 + std::count_if(logits.begin(), logits.end(), [&](double l) { return l > own; }));
  }
}

TEST_P(Rows, DrawsDoNotDependOnTheCompany) {
  SamplingParams sampling{.temperature = 0.9f, .top_p = 0.95f, .seed = 77};
  std::vector<LogitRow> rows(3);
  for (size_t i = 0; i < rows.size(); ++i)
    rows[i].token = static_cast<int64_t>(5 * i + 2), rows[i].sampling = &sampling;
  const std::vector<PageId> other_pages = rig_->take_pages(0, kPrompt), pages = rig_->take_pages(0, kPrompt);
  const Piece alone[] = {{prompt_, 0, pages, rows}};
  const std::vector<int32_t> other = random_tokens(9, kPrompt, GetParam());
  const Piece together[] = {{other, 0, other_pages, {}}, {prompt_, 0, pages, rows}};
  const StepOutput one = rig_->step(0, alone), two = rig_->step(0, together);
  for (size_t i = 0; i < rows.size(); ++i) EXPECT_EQ(one.rows[i].token, two.rows[kPrompt + i].token) << i;
}

INSTANTIATE_TEST_SUITE_P(Vocabularies, Rows, testing::Values(200, 700),
                         [](const auto& info) { return "Of" + std::to_string(info.param); });

}  // namespace
}  // namespace halftone
