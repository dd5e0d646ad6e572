// The texts made of an evaluation: every number is in them, and what contradicts itself is said.
#include "lab/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "server/executor/local_executor.h"
#include "tests/lab/lab_rig.h"
#include "tests/server/executor/executor_rig.h"
#include "tests/server/model/memory_source.h"
#include "tests/support/checkpoint_writer.h"

namespace halftone {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

ReportedMode sample_mode(const std::string& id, double kl) {
  ReportedMode mode;
  mode.id = id;
  mode.weights_digest = "sha256:aa/mlp=w4";
  mode.import = "requantized";
  mode.bits_per_weight = 4.5;
  mode.weight_bytes = 123456789;
  mode.kv_bytes_per_token = 12000;
  mode.quality.positions = 30;
  mode.quality.perplexity = 17.25;
  mode.quality.ratio = 1.01;
  mode.quality.kl_mean = kl;
  mode.quality.kl_p99 = 0.25;
  mode.quality.top1 = 0.875;
  mode.quality.nll_per_window = {2.5, 3.25};
  mode.verdict = verdict(mode.quality);
  return mode;
}

Report sample_report() {
  Report report;
  report.model = "tiny, with a comma";
  report.source_format = "gguf/Q4_1";
  report.source_digest = "sha256:aa";
  report.text_name = "text.txt";
  report.text_sha256 = "e0";
  report.protocol = "windows";
  report.bos = "none";
  report.windows = 2;
  report.window_tokens = 16;
  report.scored_positions = 30;
  report.machine = "a processor (avx2)";
  report.commit = "halftone 0.1.0";
  report.modes = {sample_mode("bf16", 0.0001), sample_mode("w4a8+kv8", 0.02)};
  return report;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines(1);
  for (char c : text) {
    if (c == '\n')
      lines.emplace_back();
    else
      lines.back() += c;
  }
  return lines;
}

TEST(Report, TheTableHasALineForEachModeAndSaysHowItWasMeasured) {
  const std::string table = report_table(sample_report());
  EXPECT_THAT(table, AllOf(HasSubstr("windows: 2 windows of 16 tokens, 30 positions"), HasSubstr("BOS: none"),
                           HasSubstr("floor "), HasSubstr("a processor (avx2)"), HasSubstr("sha256 e0")));
  int found = 0;
  for (const std::string& line : lines_of(table)) {
    if (line.rfind("w4a8+kv8 ", 0) != 0) continue;
    ++found;
    EXPECT_THAT(line, AllOf(HasSubstr("4.500"), HasSubstr("123.46"), HasSubstr("17.2500"), HasSubstr("0.02"),
                            HasSubstr("87.50"), HasSubstr("good")));
  }
  EXPECT_EQ(found, 1);
  EXPECT_THAT(table, Not(HasSubstr("WRONG")));
}

TEST(Report, JsonHoldsEverything) {
  const nlohmann::json json = nlohmann::json::parse(report_json(sample_report()));
  EXPECT_EQ(json["text"]["sha256"], "e0");
  EXPECT_EQ(json["noise_floor"]["kl_max"], 0);
  ASSERT_EQ(json["modes"].size(), 2u);
  const nlohmann::json& mode = json["modes"][1];
  EXPECT_EQ(mode["mode"], "w4a8+kv8");
  EXPECT_EQ(mode["kl_mean"], 0.02);
  EXPECT_EQ(mode["kl_p99"], 0.25);
  EXPECT_EQ(mode["weight_bytes"], 123456789);
  EXPECT_EQ(mode["verdict"], "good");
  EXPECT_EQ(mode["nll_per_window"], nlohmann::json({2.5, 3.25}));
}

TEST(Report, NumbersThatAreNotFiniteAreNullInJsonAndEmptyInCsv) {
  Report report = sample_report();
  report.modes[0].quality.kl_mean = std::numeric_limits<double>::infinity();
  EXPECT_TRUE(nlohmann::json::parse(report_json(report))["modes"][0]["kl_mean"].is_null());
  EXPECT_THAT(report_csv(report), AllOf(Not(HasSubstr("inf")), Not(HasSubstr("null"))));
}

TEST(Report, CsvHasTheSameColumnsInEveryLine) {
  const std::vector<std::string> lines = lines_of(report_csv(sample_report()));
  ASSERT_EQ(lines.size(), 4u) << "names, two modes, the end";
  EXPECT_THAT(lines[0], testing::StartsWith("mode,weights_digest,import,bits_per_weight,"));
  auto columns = [](const std::string& line) {
    bool quoted = false;
    int64_t commas = 0;
    for (char c : line) {
      if (c == '"') quoted = !quoted;
      commas += c == ',' && !quoted ? 1 : 0;
    }
    return commas + 1;
  };
  EXPECT_GT(columns(lines[0]), 30);
  for (size_t i : {1u, 2u}) {
    EXPECT_EQ(columns(lines[i]), columns(lines[0]));
    EXPECT_THAT(lines[i], AllOf(HasSubstr("\"tiny, with a comma\""), HasSubstr(",2.5 3.25,")));
  }
}

TEST(Report, ACardSaysWhatTheReportSays) {
  const Report report = sample_report();
  const QualityCard card = report_card(report, report.modes[1]);
  EXPECT_EQ(card.mode, "w4a8+kv8");
  EXPECT_EQ(card.weights_digest, "sha256:aa/mlp=w4");
  EXPECT_EQ(card.text_name, "text.txt");
  EXPECT_EQ(card.windows, 2);
  EXPECT_EQ(card.scored_positions, 30);
  EXPECT_EQ(card.kl_mean, 0.02);
  EXPECT_EQ(card.kl_p99, 0.25);
  EXPECT_EQ(card.perplexity, 17.25);
  EXPECT_EQ(card.reference, "f32");
  EXPECT_TRUE(parse_quality_card(quality_card_json(card), "card").ok());
}

TEST(Report, WhatContradictsItselfIsSaid) {
  Report report = sample_report();
  EXPECT_THAT(contradictions(report), IsEmpty());
  report.modes[0].must_equal_reference = true;
  EXPECT_THAT(contradictions(report), IsEmpty());
  report.modes[0].quality.kl_max = 1e-9;
  EXPECT_THAT(contradictions(report), ElementsAre(HasSubstr("bf16")));
  report.modes[1].quality.not_finite = 3;
  EXPECT_THAT(contradictions(report), ElementsAre(HasSubstr("bf16"), HasSubstr("3 positions")));
  report.floor.kl_max = 1e-6;
  EXPECT_THAT(contradictions(report), ElementsAre(HasSubstr("noise floor"), HasSubstr("3 positions")))
      << "what lies below the floor is no difference";
  EXPECT_THAT(report_table(report), HasSubstr("WRONG: the noise floor"));
}

TEST(Report, WhatHasTheSourcesBitsOrMoreIsLabelled) {
  TestDirectory directory;
  const ModelSource source = tiny_gguf_source(directory.file("q4_1.gguf"), "Q4_1");
  const LabRig lab(source, "bf16,w8a16,w4a8,w4g64a16,w4a16+kv8");
  std::vector<std::string> labelled, equal;
  for (size_t m = 0; m < lab.modes.size(); ++m) {
    const ReportedMode mode = describe_mode(source, lab.modes[m], lab.mode_weights[m]);
    if (!mode.label.empty()) labelled.push_back(mode.id);
    if (mode.must_equal_reference) equal.push_back(mode.id);
  }
  EXPECT_THAT(labelled, ElementsAre("bf16", "w8a16", "w4a8", "w4a16+kv8")) << "all but what is narrower";
  EXPECT_THAT(equal, IsEmpty()) << "rounded activations, or pages of eight bits";
}

TEST(Report, AModesFactsAreThoseOfTheServer) {
  const ModelSource source = tiny_source();
  const LabRig lab(source, "w4g32a16+kv8,bf16");
  ExecutorRig executor(source, {.modes = {"w4g32a16+kv8", "bf16"}});
  for (size_t m : {0u, 1u}) {
    const ReportedMode mode = describe_mode(source, lab.modes[m], lab.mode_weights[m]);
    const ModeFacts& facts = executor.executor().modes()[m];
    EXPECT_EQ(mode.weights_digest, facts.weights_digest) << "a card is found by it";
    EXPECT_EQ(mode.import, facts.import);
    EXPECT_EQ(mode.bits_per_weight, facts.bits_per_weight);
    EXPECT_EQ(mode.weight_bytes, facts.own_bytes + facts.shared_bytes);
    EXPECT_EQ(mode.kv_bytes_per_token, facts.kv_bytes_per_token);
  }
}

}  // namespace
}  // namespace halftone
