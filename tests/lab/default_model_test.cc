// The default model's first window of wiki.valid: perplexities that others computed, and the divergence that each mode
// may have from the source's own values.
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <map>

#include "lab/evaluate_command.h"
#include "tests/server/executor/real_model.h"

namespace halftone {
namespace {

TEST(DefaultModel, TheTokensAreThoseThatOthersUsed) {
  const std::string reason = why_not_real(false);
  if (!reason.empty()) GTEST_SKIP() << reason;
  const absl::StatusOr<ModelSource> source = open_model(default_model_path());
  ASSERT_TRUE(source.ok()) << source.status();
  const auto tokenizer = Tokenizer::create(source->vocabulary);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  std::ifstream file(wiki_valid_path(), std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  const absl::StatusOr<TextWindows> windows = cut_windows(**tokenizer, text, {.windows = 8});
  ASSERT_TRUE(windows.ok()) << windows.status();
  EXPECT_EQ(windows->sha256(), about_default_model("quality.json").at("token_ids_sha256_le_int32"));
}

TEST(DefaultModel, EachModesDivergenceIsWithinItsBound) {
  const std::string reason = why_not_real(true);
  if (!reason.empty()) GTEST_SKIP() << reason;
  EvaluateFlags flags;
  flags.model = default_model_path();
  flags.text = wiki_valid_path();
  flags.modes = "bf16,w8a16,w8a8,w4a16,w4a16+kv8,w4a8,w4a8+kv8";
  flags.windows.windows = 1;
  flags.quiet = true;
  const absl::StatusOr<Report> report = make_report(flags);
  ASSERT_TRUE(report.ok()) << report.status();
  std::printf("%s", report_table(*report).c_str());
  EXPECT_TRUE(contradictions(*report).empty());
  EXPECT_EQ(report->floor.kl_max, 0);

  const nlohmann::json variants = about_default_model("quality.json").at("variants");
  auto first_window = [&](const char* variant) { return variants.at(variant).at("nll_per_window")[0].get<double>(); };
  EXPECT_NEAR(report->reference_quality.nll_per_window[0], first_window("f32_reference"), 1e-3);
  std::map<std::string, ModeQuality> modes;
  for (const ReportedMode& mode : report->modes) modes[mode.id] = mode.quality;
  EXPECT_NEAR(modes["bf16"].nll_per_window[0], first_window("bf16_weights"), 1e-3);

  EXPECT_LE(modes["bf16"].kl_mean, 2e-4);
  EXPECT_LE(modes["w8a16"].kl_mean, 0.006);
  EXPECT_LE(modes["w8a8"].kl_mean, 0.012);
  EXPECT_LE(modes["w4a8"].kl_mean, 0.010);
  EXPECT_EQ(modes["w4a16"].kl_max, 0) << "its codes are taken over";
  EXPECT_LE(modes["w4a16+kv8"].kl_mean, 0.001);
  EXPECT_LE(modes["w4a8+kv8"].kl_mean, modes["w4a8"].kl_mean + 0.001);
}

}  // namespace
}  // namespace halftone
