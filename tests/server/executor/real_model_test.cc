// The default model against its golden answers.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "kernels/cpu/cpu_device.h"
#include "server/text/tokenizer.h"
#include "tests/server/executor/executor_rig.h"
#include "tests/server/executor/real_model.h"

namespace halftone {
namespace {

constexpr uint32_t kTop = 50;
constexpr double kLogitError = 0.02;  // keys and values are rounded to half here and were not there
constexpr int64_t kStep = 256;

class RealModel : public testing::Test {
 protected:
  static void TearDownTestSuite() { rig_.reset(); }
  void SetUp() override {
    const std::string reason = why_not_real(true);
    if (!reason.empty()) GTEST_SKIP() << reason;
    if (rig_) return;
    rig_.emplace(open_source(default_model_path()), RigOptions{.modes = {"bf16", "f32", "w4a16", "w4a16+kv8"},
                                                               .threads = cpu_threads(),
                                                               .max_context = 1024,
                                                               .kv_bytes = 64 << 20,
                                                               .max_step_tokens = kStep});
  }

  // The best candidates after each token from `first` on.
  static std::vector<RowResult> best_rows(ModeIndex mode, const std::vector<int32_t>& ids, size_t first) {
    std::vector<RowResult> rows;
    const std::vector<PageId> pages = rig_->take_pages(mode, static_cast<int64_t>(ids.size()));
    for (size_t at = 0; at < ids.size(); at += kStep) {
      const size_t count = std::min<size_t>(kStep, ids.size() - at);
      std::vector<LogitRow> wanted;
      for (size_t i = 0; i < count; ++i) {
        LogitRow row;
        row.token = static_cast<int64_t>(i);
        row.top = kTop;
        if (at + i >= first) wanted.push_back(row);
      }
      const Piece piece{std::span(ids).subspan(at, count), static_cast<int64_t>(at), pages, wanted, false};
      StepOutput output = rig_->step(mode, {&piece, 1});
      for (RowResult& row : output.rows) rows.push_back(std::move(row));
    }
    return rows;
  }

  static void expect_golden(const std::string& file, const std::string& mode_id);

  static std::optional<ExecutorRig> rig_;
};

std::optional<ExecutorRig> RealModel::rig_;

// The largest difference to [[id, logit], ...].
double error_of(const RowResult& row, const nlohmann::json& expected) {
  double worst = 0;
  for (const nlohmann::json& pair : expected) {
    auto same = [&](const Candidate& c) { return c.id == pair[0].get<int32_t>(); };
    const auto at = std::find_if(row.top.begin(), row.top.end(), same);
    EXPECT_NE(at, row.top.end()) << "token " << pair[0] << " is not among the best " << kTop;
    if (at == row.top.end()) return HUGE_VAL;
    const double logit = static_cast<double>(at->logprob) + static_cast<double>(row.logsumexp);
    worst = std::max(worst, std::fabs(logit - pair[1].get<double>()));
  }
  return worst;
}

void RealModel::expect_golden(const std::string& file, const std::string& mode_id) {
  const ModeIndex mode = rig_->mode(mode_id);
  double worst = 0;
  size_t compared = 0, agreed = 0;
  const nlohmann::json golden = about_default_model(file);
  for (const nlohmann::json& one : golden.at("cases")) {
    const std::vector<int32_t> prompt = one.at("prompt_ids"), greedy = one.at("greedy_ids");
    const std::vector<double> margins = one.at("margins");
    std::vector<int32_t> ids = prompt;
    ids.insert(ids.end(), greedy.begin(), greedy.end() - 1);
    std::vector<RowResult> rows = best_rows(mode, {prompt[0]}, 0);
    worst = std::max(worst, error_of(rows[0], one.at("top5_prompt_first_pos")));
    rows = best_rows(mode, ids, prompt.size() - 1);  // rows[k] chooses greedy[k]
    ASSERT_EQ(rows.size(), greedy.size());
    worst = std::max(worst, error_of(rows.front(), one.at("top5_prompt_last_pos")));
    worst = std::max(worst, error_of(rows.back(), one.at("top5_last_step")));
    for (size_t k = 0; k < greedy.size() && margins[k] >= kLogitError; ++k) {
      ++compared;
      agreed += rows[k].top[0].id == greedy[k] ? 1 : 0;
      EXPECT_EQ(rows[k].top[0].id, greedy[k]) << one.at("name") << ", step " << k << ", margin " << margins[k];
    }
  }
  EXPECT_LE(worst, kLogitError);
  std::printf("%s against %s: largest logit error %.4f; %zu of %zu greedy ids\n", mode_id.c_str(), file.c_str(), worst,
              agreed, compared);
}

TEST_F(RealModel, Bf16FollowsItsGolden) { expect_golden("golden_bf16.json", "bf16"); }
TEST_F(RealModel, F32FollowsItsGolden) { expect_golden("golden_f32.json", "f32"); }
TEST_F(RealModel, W4a16FollowsTheGoldenOfTheFilesOwnValues) { expect_golden("golden_f32.json", "w4a16"); }

TEST_F(RealModel, W4a16IsBitEqualToF32) {
  EXPECT_EQ(rig_->executor().modes()[static_cast<size_t>(rig_->mode("w4a16"))].import, "exact");
  const nlohmann::json golden = about_default_model("golden_f32.json");
  for (const nlohmann::json& one : golden.at("cases")) {
    const std::vector<int32_t> ids = one.at("prompt_ids");
    if (ids.size() > 100) continue;
    expect_same_rows(best_rows(rig_->mode("f32"), ids, 0), best_rows(rig_->mode("w4a16"), ids, 0), one.at("name"));
  }
}

TEST_F(RealModel, SaysParisInEveryMode) {
  const absl::StatusOr<ModelSource> source = open_model(default_model_path());
  const absl::StatusOr<std::unique_ptr<Tokenizer>> tokenizer = Tokenizer::create(source->vocabulary);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  const std::vector<int32_t> prompt = (*tokenizer)->encode("The capital of France is", {.add_special = true});
  for (const ModeFacts& mode : rig_->executor().modes()) {
    const std::string answer = (*tokenizer)->decode(rig_->greedy(rig_->mode(mode.id), prompt, 8));
    EXPECT_NE(answer.find("Paris"), std::string::npos) << mode.id << ": " << answer;
  }
}

TEST_F(RealModel, BitsPerWeightAreThoseOfTheFile) {
  const std::span<const ModeFacts> modes = rig_->executor().modes();
  // 106,168,320 values of Q4_1 at 5 bits, 28,311,552 of Q8_0 at 8.5.
  const double body = 106'168'320, embedding = 28'311'552;
  EXPECT_DOUBLE_EQ(modes[static_cast<size_t>(rig_->mode("w4a16"))].bits_per_weight,
                   (body * 5 + embedding * 8.5) / (body + embedding));
  EXPECT_EQ(modes[0].bits_per_weight, 16);
  EXPECT_EQ(modes[1].import, "exact");
  EXPECT_EQ(modes[0].import, "requantized");
}

}  // namespace
}  // namespace halftone
