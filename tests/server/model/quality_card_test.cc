// Quality cards: written, read back, found by the mode and the weights that they speak of.
#include "server/model/quality_card.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include "kernels/weights/w4/w4.h"
#include "kernels/weights/w8/w8.h"
#include "server/model/mode.h"
#include "tests/support/checkpoint_writer.h"

namespace halftone {
namespace {

using testing::AllOf;
using testing::HasSubstr;

QualityCard sample_card() {
  QualityCard card;
  card.mode = "w4a8+kv8";
  card.weights_digest = "sha256:aa/attention,mlp=w4";
  card.source_digest = "sha256:aa";
  card.source_format = "gguf/Q4_1";
  card.import = "exact";
  card.reference = "f32";
  card.text_name = "wiki.valid.raw";
  card.text_sha256 = "e0";
  card.protocol = "windows";
  card.windows = 4;
  card.window_tokens = 1024;
  card.scored_positions = 4092;
  card.bos = "none";
  card.perplexity = 17.3;
  card.perplexity_standard_error = 0.7;
  card.reference_perplexity = 17.26;
  card.kl_mean = 0.005;
  card.kl_standard_error = 0.0002;
  card.kl_median = 0.003;
  card.kl_p99 = 0.03;
  card.kl_max = 0.2;
  card.top1 = 0.97;
  card.label = "grid of the source, not evidence about the method";
  card.machine = "a processor (avx2)";
  card.commit = "halftone 0.1.0";
  return card;
}

TEST(QualityCard, HasTheKeysThatItsReadersKnow) {
  const nlohmann::json object = nlohmann::json::parse(quality_card_json(sample_card()));
  std::vector<std::string> keys;
  for (const auto& [key, value] : object.items()) keys.push_back(key);
  EXPECT_THAT(keys, testing::UnorderedElementsAre("mode", "weights_digest", "source_digest", "source_format", "import",
                                                  "reference", "text", "protocol", "windows", "window_tokens",
                                                  "scored_positions", "bos", "perplexity", "perplexity_standard_error",
                                                  "reference_perplexity", "kl_mean", "kl_standard_error", "kl_median",
                                                  "kl_p99", "kl_max", "top1", "label", "machine", "commit"));
  EXPECT_EQ(object["text"]["name"], "wiki.valid.raw");
  EXPECT_EQ(object["text"]["sha256"], "e0");
  EXPECT_EQ(object["scored_positions"], 4092);
  EXPECT_EQ(object["kl_p99"], 0.03);
}

TEST(QualityCard, ReadsBackWhatWasWritten) {
  const std::string json = quality_card_json(sample_card());
  const absl::StatusOr<QualityCard> card = parse_quality_card(json, "card.json");
  ASSERT_TRUE(card.ok()) << card.status();
  EXPECT_EQ(quality_card_json(*card), json);
  EXPECT_EQ(card->mode, "w4a8+kv8");
  EXPECT_EQ(card->text_name, "wiki.valid.raw");
  EXPECT_EQ(card->perplexity, 17.3);
  EXPECT_EQ(card->windows, 4);
}

TEST(QualityCard, OfABrokenModeHasNullsAndIsStillACard) {
  QualityCard broken = sample_card();
  broken.kl_mean = std::numeric_limits<double>::infinity();
  broken.perplexity = std::numeric_limits<double>::quiet_NaN();
  const std::string json = quality_card_json(broken);
  EXPECT_THAT(json, AllOf(HasSubstr("\"kl_mean\": null"), HasSubstr("\"perplexity\": null")));
  const absl::StatusOr<QualityCard> card = parse_quality_card(json, "card.json");
  ASSERT_TRUE(card.ok()) << card.status();
  EXPECT_TRUE(std::isnan(card->kl_mean));
  EXPECT_TRUE(std::isnan(card->perplexity));
  EXPECT_EQ(card->kl_max, 0.2);
}

TEST(QualityCard, EachMissingOrWrongKeyIsNamed) {
  const nlohmann::json whole = nlohmann::json::parse(quality_card_json(sample_card()));
  for (const auto& [key, value] : whole.items()) {
    nlohmann::json missing = whole, wrong = whole;
    missing.erase(key);
    wrong[key] = value.is_string() ? nlohmann::json(1) : nlohmann::json("x");
    for (const nlohmann::json& object : {missing, wrong}) {
      const absl::Status status = parse_quality_card(object.dump(), "card.json").status();
      EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << key;
      EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr("card.json"), HasSubstr(key)));
    }
  }
  EXPECT_FALSE(parse_quality_card("[]", "card.json").ok());
  EXPECT_FALSE(parse_quality_card("{", "card.json").ok());
}

TEST(QualityCard, FileNamesKeepThePlusAndReplaceTheColon) {
  EXPECT_EQ(quality_card_file_name("w4a8+kv8"), "w4a8+kv8.json");
  EXPECT_EQ(quality_card_file_name("recipe:mixed"), "recipe_mixed.json");
}

TEST(QualityCard, IsFoundForItsOwnModeAndWeightsOnly) {
  TestDirectory directory;
  const QualityCard card = sample_card();
  ASSERT_TRUE(write_quality_card(card, directory.path()).ok());
  const auto found = find_quality_card(directory.path(), card.mode, card.weights_digest);
  ASSERT_TRUE(found.ok()) << found.status();
  ASSERT_TRUE(found->has_value());
  EXPECT_EQ(quality_card_json(**found), quality_card_json(card));
  EXPECT_FALSE(find_quality_card(directory.path(), card.mode, "sha256:bb/attention,mlp=w4")->has_value());
  EXPECT_FALSE(find_quality_card(directory.path(), "w4a8", card.weights_digest)->has_value());
  std::filesystem::copy(directory.file("w4a8+kv8.json"), directory.file("w4a8.json"));
  EXPECT_FALSE(find_quality_card(directory.path(), "w4a8", card.weights_digest)->has_value()) << "a renamed card";
}

TEST(QualityCard, ADamagedOneIsAnErrorAndNotAnAbsence) {
  TestDirectory directory;
  std::ofstream(directory.file("bf16.json")) << "{\"mode\": ";
  const auto found = find_quality_card(directory.path(), "bf16", "sha256:aa/");
  EXPECT_EQ(found.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(found.status().message()), HasSubstr("bf16.json"));
}

TEST(QualityCard, WhereNothingCanBeWrittenIsSaid) {
  EXPECT_EQ(write_quality_card(sample_card(), "/no/such/directory").code(), absl::StatusCode::kUnavailable);
}

TEST(QualityCard, AWeightsDigestNamesTheCheckpointTheRecipeAndTheRulesOfPacking) {
  const Recipe plain = parse_mode("bf16")->recipe, coded = parse_mode("w4a8")->recipe;
  EXPECT_EQ(weights_digest("sha256:aa", plain), "sha256:aa/" + plain.text());
  const std::string w4 = ":" + std::to_string(kW4.packing), w8 = ":" + std::to_string(kW8.packing);
  EXPECT_EQ(weights_digest("sha256:aa", coded), "sha256:aa/" + coded.text() + "/w4" + w4 + ",w8" + w8);
}

}  // namespace
}  // namespace halftone
