// The command from a checkpoint's file to the files that it writes.
#include "lab/evaluate_command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "tests/lab/lab_rig.h"
#include "tests/support/checkpoint_writer.h"
#include "tests/support/process.h"

namespace halftone {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

std::string content(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  EXPECT_TRUE(in) << path;
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

struct Files {
  TestDirectory directory;
  EvaluateFlags flags;
  Files() {
    tiny_gguf_source(directory.file("model.gguf"), "Q4_1");
    std::ofstream text(directory.file("text.txt"));
    for (int i = 0; i < 400; ++i) text << "the tin of tea is on the line " << i << ".\n";
    text.close();
    flags.model = directory.file("model.gguf");
    flags.text = directory.file("text.txt");
    flags.modes = "bf16,w4a16,w4a8+kv8";
    flags.windows = {.window_tokens = 48, .windows = 3};
    flags.threads = 1;
    flags.json = directory.file("out.json");
    flags.csv = directory.file("out.csv");
    flags.svg = directory.file("out.svg");
    flags.cards = directory.file("cards/new");
    flags.quiet = true;
  }
};

TEST(EvaluateCommand, WritesEverythingThatIsAskedFor) {
  const Files files;
  const absl::StatusOr<Report> report = make_report(files.flags);
  ASSERT_TRUE(report.ok()) << report.status();
  ASSERT_TRUE(write_report(*report, files.flags).ok());
  EXPECT_TRUE(contradictions(*report).empty()) << contradictions(*report)[0];

  const nlohmann::json json = nlohmann::json::parse(content(files.flags.json));
  EXPECT_EQ(json["source_format"], "gguf/Q4_1");
  EXPECT_EQ(json["text"]["name"], "text.txt");
  EXPECT_EQ(json["windows"], 3);
  EXPECT_EQ(json["scored_positions"], 3 * 47);
  EXPECT_EQ(json["modes"][1]["mode"], "w4a16");
  EXPECT_EQ(json["modes"][1]["kl_max"], 0);
  EXPECT_GT(json["modes"][0]["kl_mean"], 0);
  EXPECT_THAT(content(files.flags.csv), HasSubstr("\nw4a8+kv8,"));
  EXPECT_THAT(content(files.flags.svg), AllOf(HasSubstr("<svg"), HasSubstr("w4a8+kv8")));

  for (const ReportedMode& mode : report->modes) {
    const auto card = find_quality_card(files.flags.cards, mode.id, mode.weights_digest);
    ASSERT_TRUE(card.ok()) << card.status();
    ASSERT_TRUE(card->has_value()) << mode.id;
    EXPECT_EQ((*card)->kl_mean, mode.quality.kl_mean);
    EXPECT_EQ((*card)->text_sha256, report->text_sha256);
    EXPECT_THAT((*card)->commit, HasSubstr("halftone "));
    EXPECT_THAT((*card)->machine, Not(HasSubstr("unknown")));
  }
}

TEST(EvaluateCommand, OnlyWhatIsAskedForIsWritten) {
  Files files;
  files.flags.json = files.flags.csv = files.flags.svg = files.flags.cards = "";
  const absl::StatusOr<Report> report = make_report(files.flags);
  ASSERT_TRUE(report.ok()) << report.status();
  ASSERT_TRUE(write_report(*report, files.flags).ok());
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(files.directory.path())) {
    names.push_back(entry.path().filename().string());
  }
  EXPECT_THAT(names, testing::UnorderedElementsAre("model.gguf", "text.txt"));
}

TEST(EvaluateCommand, AllModesAreTheKnownOnesWithoutTheReference) {
  const absl::StatusOr<std::vector<Mode>> modes = wanted_modes("all");
  ASSERT_TRUE(modes.ok()) << modes.status();
  std::vector<std::string> ids;
  for (const Mode& mode : *modes) ids.push_back(mode.id);
  std::vector<std::string> known = known_modes();
  ASSERT_EQ(known[0], "f32");
  known.erase(known.begin());
  EXPECT_EQ(ids, known);
}

TEST(EvaluateCommand, ARecipesCardIsNamedWithoutItsColon) {
  Files files;
  const std::string path = files.directory.file("r.json");
  std::ofstream(path) << R"({"name": "mixed", "activations": "a8", "weights": [
      {"tensors": ["embedding", "head"], "format": "w8"},
      {"tensors": ["attention"], "format": "w8"}, {"tensors": ["mlp"], "format": "w4g32"}]})";
  files.flags.modes = "recipe:" + path + ",f32";
  const absl::StatusOr<Report> report = make_report(files.flags);
  ASSERT_TRUE(report.ok()) << report.status();
  ASSERT_TRUE(write_report(*report, files.flags).ok());
  EXPECT_EQ(report->modes[0].id, "recipe:mixed");
  EXPECT_TRUE(std::filesystem::exists(files.flags.cards + "/recipe_mixed.json"));
  EXPECT_EQ(report->modes[1].quality.kl_max, 0);
}

TEST(EvaluateCommand, Llamacpp512RunsFromTheFile) {
  Files files;
  files.flags.windows = {.protocol = "llamacpp512", .windows = 2};
  const absl::StatusOr<Report> report = make_report(files.flags);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->scored_positions, 510);
  EXPECT_EQ(report->modes[0].quality.positions, 510);
}

TEST(EvaluateCommand, MistakesAreNamed) {
  auto refusal = [](const std::function<void(Files*)>& change) {
    Files files;
    change(&files);
    return std::string(make_report(files.flags).status().message());
  };
  EXPECT_THAT(refusal([](Files* f) { f->flags.text += ".gone"; }), HasSubstr("text.txt.gone"));
  EXPECT_THAT(refusal([](Files* f) { f->flags.text = f->directory.path(); }), HasSubstr("can't be read"));
  EXPECT_THAT(refusal([](Files* f) { f->flags.model += ".gone"; }), HasSubstr("model.gguf.gone"));
  EXPECT_THAT(refusal([](Files* f) { f->flags.modes = "w5a16"; }), HasSubstr("w5a16"));
  EXPECT_THAT(refusal([](Files* f) { f->flags.windows.windows = 99999; }), HasSubstr("wanted are 99999"));
  EXPECT_THAT(refusal([](Files* f) { f->flags.windows.window_tokens = 600; }), HasSubstr("context is 512"));
  EXPECT_THAT(refusal([](Files* f) { f->flags.isa = "z80"; }), HasSubstr("z80"));
}

TEST(EvaluateCommand, WhatCannotBeWrittenIsSaidBeforeTheWork) {
  auto refusal = [](std::string EvaluateFlags::*flag, const std::string& path) {
    Files files;
    files.flags.*flag = path.empty() ? files.flags.model : path;
    files.flags.model += ".gone";  // what would be said next
    return std::string(make_report(files.flags).status().message());
  };
  for (auto flag : {&EvaluateFlags::json, &EvaluateFlags::csv, &EvaluateFlags::svg}) {
    EXPECT_THAT(refusal(flag, "/no/such/directory/out"), HasSubstr("/no/such/directory/out can't be written"));
  }
  EXPECT_THAT(refusal(&EvaluateFlags::cards, ""), HasSubstr("--cards")) << "a file is no directory";
}

TEST(EvaluateCommand, WhatCannotBeWrittenInTheEndIsSaidToo) {
  Files files;
  const absl::StatusOr<Report> report = make_report(files.flags);
  ASSERT_TRUE(report.ok()) << report.status();
  std::filesystem::create_directory(files.flags.csv);
  EXPECT_THAT(std::string(write_report(*report, files.flags).message()), HasSubstr("out.csv can't be written"));
}

TEST(EvaluateCommand, TheBinaryPrintsATableAndItsExitStatusSaysHowItWent) {
  const Files files;
  const std::string binary = HALFTONE_BINARY_DIR "/bin/halftone-lab";
  auto run = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), binary);
    const absl::StatusOr<ProcessResult> result = run_process({arguments, {}, ""}, std::chrono::seconds(60));
    EXPECT_TRUE(result.ok()) << result.status();
    return result.ok() ? *result : ProcessResult();
  };
  const std::vector<std::string> good = {
      "evaluate",        "--model", files.flags.model, "--text", files.flags.text, "--modes", "w4a16",
      "--window-tokens", "32",      "--windows",       "1",      "--threads",      "1"};
  ProcessResult result = run(good);
  EXPECT_EQ(result.end.code, 0) << result.errors;
  EXPECT_THAT(result.output, AllOf(HasSubstr("\nw4a16 "), HasSubstr("transparent")));
  EXPECT_EQ(result.errors, "") << "no progress where nobody watches";
  std::vector<std::string> bad = good;
  bad[6] = "w5a16";
  result = run(bad);
  EXPECT_EQ(result.end.code, 1);
  EXPECT_EQ(result.output, "");
  EXPECT_THAT(result.errors, HasSubstr("w5a16"));
  EXPECT_EQ(run({"evaluate", "--model", "x"}).end.code, 2);
  EXPECT_EQ(run({"evaluate", "--help"}).end.code, 0);
  EXPECT_EQ(run({"--version"}).end.code, 0);
}

}  // namespace
}  // namespace halftone
