// Files that say which format each matrix is stored in.
#include "server/model/recipe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <sstream>

#include "server/model/mode.h"
#include "tests/support/checkpoint_writer.h"

namespace halftone {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

// Every field there is.
json whole() {
  return json::parse(R"({
    "name": "mixed-1.2_x", "activations": "a8", "kv": "kv8",
    "weights": [
      {"tensors": ["embedding", "head"], "format": "w8"},
      {"tensors": ["mlp"], "layers": "2-5", "format": "w4g32", "requantize": true},
      {"tensors": ["attention", "mlp"], "format": "bf16"}
    ],
    "drop_layers": [12, 3]
  })");
}

absl::StatusOr<RecipeFile> parse(const json& recipe) { return parse_recipe(recipe.dump(), "r.json"); }

std::string format_of(const RecipeFile& file, TensorClass tensor_class, int64_t layer) {
  const WeightChoice* choice = file.recipe.choose(tensor_class, layer);
  return choice == nullptr ? "none" : choice->name();
}

TEST(Recipe, EveryFieldIsRead) {
  const absl::StatusOr<RecipeFile> file = parse(whole());
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->name, "mixed-1.2_x");
  EXPECT_EQ(file->activations, "a8");
  EXPECT_EQ(file->kv, "kv8");
  ASSERT_EQ(file->recipe.rows.size(), 3u);
  EXPECT_THAT(file->recipe.rows[0].classes, ElementsAre(TensorClass::kEmbedding, TensorClass::kHead));
  EXPECT_EQ(file->recipe.rows[1].first_layer, 2);
  EXPECT_EQ(file->recipe.rows[1].last_layer, 5);
  EXPECT_EQ(file->recipe.rows[1].choice, (WeightChoice{"w4", 32, true}));
  EXPECT_EQ(file->recipe.rows[2].choice, (WeightChoice{"bf16", 0, false}));
  EXPECT_THAT(file->recipe.dropped, ElementsAre(3, 12));
}

TEST(Recipe, WhatIsLeftOutHasItsDefault) {
  json recipe = whole();
  for (const char* key : {"activations", "kv", "drop_layers"}) recipe.erase(key);
  recipe["weights"] = {{{"tensors", {"mlp"}}, {"format", "w4"}}};
  const absl::StatusOr<RecipeFile> file = parse(recipe);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->activations, "a16");
  EXPECT_EQ(file->kv, "kv16");
  EXPECT_THAT(file->recipe.dropped, ElementsAre());
  EXPECT_FALSE(file->recipe.rows[0].choice.requantize);
  EXPECT_EQ(format_of(*file, TensorClass::kMlp, 0), "w4");
  EXPECT_EQ(format_of(*file, TensorClass::kMlp, 99'999), "w4");
}

TEST(Recipe, EveryLegalValueIsTaken) {
  const std::function<void(json&)> changes[] = {
      [](json& r) { r["name"] = std::string(64, 'x'); },  //
      [](json& r) { r["activations"] = "a16"; },
      [](json& r) { r["activations"] = "a8t"; },
      [](json& r) { r["kv"] = "kv16"; },
      [](json& r) { r["drop_layers"] = json::array(); },
      [](json& r) {
        r["drop_layers"] = {0, 100'000};
      },
      [](json& r) {
        r["weights"][0]["tensors"] = {"embedding", "attention", "mlp", "head"};
      },
      [](json& r) { r["weights"][1]["layers"] = "7"; },
      [](json& r) { r["weights"][1]["layers"] = "0-100000"; },
      [](json& r) { r["weights"][1]["requantize"] = false; },
      [](json& r) { r["weights"][1]["format"] = "w8g128"; },
      [](json& r) { r["weights"][1]["format"] = "f32"; },
  };
  for (const auto& change : changes) {
    json recipe = whole();
    change(recipe);
    EXPECT_TRUE(parse(recipe).ok()) << parse(recipe).status() << "\n" << recipe;
  }
}

struct Wrong {
  std::function<void(json&)> change;
  const char *field, *says;
};

const std::vector<Wrong>& wrong_values() {
  static const std::vector<Wrong> kAll = {
      {[](json& r) { r.erase("name"); }, "name", "missing"},
      {[](json& r) { r["name"] = 3; }, "name", "a text"},
      {[](json& r) { r["name"] = ""; }, "name", "letters"},
      {[](json& r) { r["name"] = "a b"; }, "name", "\"a b\""},
      {[](json& r) { r["name"] = "a+kv8"; }, "name", "letters"},
      {[](json& r) { r["name"] = std::string(65, 'x'); }, "name", "64"},
      {[](json& r) { r["activations"] = "a4"; }, "activations", "a16, a8, a8t"},
      {[](json& r) { r["activations"] = 8; }, "activations", "a text"},
      {[](json& r) { r["kv"] = "kv4"; }, "kv", "kv16 or kv8"},
      {[](json& r) { r["kv"] = json::array(); }, "kv", "a text"},
      {[](json& r) { r.erase("weights"); }, "weights", "a list of rows"},
      {[](json& r) { r["weights"] = json::array(); }, "weights", "a list of rows"},
      {[](json& r) { r["weights"] = "w4"; }, "weights", "a list of rows"},
      {[](json& r) { r["weights"][2] = "w4"; }, "weights[2]", "an object"},
      {[](json& r) { r["weights"][1].erase("tensors"); }, "weights[1].tensors", "a list of tensor classes"},
      {[](json& r) { r["weights"][1]["tensors"] = "mlp"; }, "weights[1].tensors", "a list of tensor classes"},
      {[](json& r) { r["weights"][1]["tensors"] = json::array(); }, "weights[1].tensors", "a list of tensor classes"},
      {[](json& r) { r["weights"][1]["tensors"] = {"mpl"}; }, "weights[1].tensors", "embedding, attention, mlp, head"},
      {[](json& r) { r["weights"][1]["tensors"] = {1}; }, "weights[1].tensors", "embedding, attention, mlp, head"},
      {[](json& r) { r["weights"][1]["layers"] = ""; }, "weights[1].layers", "a range of layers"},
      {[](json& r) { r["weights"][1]["layers"] = "-1"; }, "weights[1].layers", "a range of layers"},
      {[](json& r) { r["weights"][1]["layers"] = "5-2"; }, "weights[1].layers", "\"5-2\""},
      {[](json& r) { r["weights"][1]["layers"] = "2-"; }, "weights[1].layers", "a range of layers"},
      {[](json& r) { r["weights"][1]["layers"] = "0-9223372036854775807"; }, "weights[1].layers", "a range of layers"},
      {[](json& r) { r["weights"][1]["layers"] = 4; }, "weights[1].layers", "a text"},
      {[](json& r) { r["weights"][1].erase("format"); }, "weights[1].format", "missing"},
      {[](json& r) { r["weights"][1]["format"] = "w5"; }, "weights[1].format", "w8g32"},
      {[](json& r) { r["weights"][1]["format"] = "w4g33"; }, "weights[1].format", "\"w4g33\""},
      {[](json& r) { r["weights"][1]["format"] = "bf16g32"; }, "weights[1].format", "known formats"},
      {[](json& r) { r["weights"][1]["format"] = "w4a8"; }, "weights[1].format", "known formats"},
      {[](json& r) { r["weights"][1]["requantize"] = "yes"; }, "weights[1].requantize", "true or false"},
      {[](json& r) { r["drop_layers"] = 3; }, "drop_layers", "a list of layers"},
      {[](json& r) { r["drop_layers"] = {-1}; }, "drop_layers", "a layer's number"},
      {[](json& r) { r["drop_layers"] = {1.5}; }, "drop_layers", "a layer's number"},
      {[](json& r) { r["drop_layers"] = {"3"}; }, "drop_layers", "a layer's number"},
      {[](json& r) { r["drop_layers"] = {100'001}; }, "drop_layers", "a layer's number"},
  };
  return kAll;
}

TEST(Recipe, EveryIllegalValueIsRefusedWithTheFileAndTheField) {
  for (const Wrong& wrong : wrong_values()) {
    json recipe = whole();
    wrong.change(recipe);
    const absl::StatusOr<RecipeFile> file = parse(recipe);
    ASSERT_FALSE(file.ok()) << wrong.field << ": " << recipe;
    EXPECT_EQ(file.status().code(), absl::StatusCode::kInvalidArgument);
    const std::string message(file.status().message());
    EXPECT_THAT(message, HasSubstr(std::string("r.json: ") + wrong.field)) << recipe;
    EXPECT_THAT(message, HasSubstr(wrong.says)) << recipe;
  }
}

TEST(Recipe, UnknownKeysAreRefused) {
  json recipe = whole();
  recipe["kvs"] = "kv8";
  EXPECT_THAT(std::string(parse(recipe).status().message()), HasSubstr("r.json: a key is \"kvs\""));
  recipe = whole();
  recipe["weights"][1]["tensor"] = "mlp";
  EXPECT_THAT(std::string(parse(recipe).status().message()), HasSubstr("r.json: weights[1]: a key is \"tensor\""));
}

TEST(Recipe, WhatIsNoObjectIsRefusedByTheFilesName) {
  for (const char* text : {"", "[]", "3", "{", R"({"name": "a", "name": "b"})", "\xff"}) {
    const absl::Status status = parse_recipe(text, "r.json").status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(status.message()), HasSubstr("r.json")) << text;
  }
}

TEST(Recipe, TheFirstRowThatMatchesCounts) {
  const absl::StatusOr<RecipeFile> file = parse(whole());
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(format_of(*file, TensorClass::kMlp, 1), "bf16");
  EXPECT_EQ(format_of(*file, TensorClass::kMlp, 2), "w4g32-requantized");
  EXPECT_EQ(format_of(*file, TensorClass::kMlp, 5), "w4g32-requantized");
  EXPECT_EQ(format_of(*file, TensorClass::kMlp, 6), "bf16");
  EXPECT_EQ(format_of(*file, TensorClass::kAttention, 3), "bf16");
  json turned = whole();
  std::swap(turned["weights"][1], turned["weights"][2]);
  EXPECT_EQ(format_of(*parse(turned), TensorClass::kMlp, 3), "bf16");
}

TEST(Recipe, AMatrixThatNoRowNamesHasNone) {
  json recipe = whole();
  recipe["weights"] = {{{"tensors", {"mlp"}}, {"layers", "1-2"}, {"format", "w4"}}};
  const absl::StatusOr<RecipeFile> file = parse(recipe);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(format_of(*file, TensorClass::kMlp, 0), "none");
  EXPECT_EQ(format_of(*file, TensorClass::kMlp, 1), "w4");
  EXPECT_EQ(format_of(*file, TensorClass::kMlp, 3), "none");
  EXPECT_EQ(format_of(*file, TensorClass::kHead, 1), "none");
}

TEST(Recipe, OneLayerIsARangeOfOne) {
  json recipe = whole();
  recipe["weights"][1]["layers"] = "4";
  const absl::StatusOr<RecipeFile> file = parse(recipe);
  EXPECT_EQ(format_of(*file, TensorClass::kMlp, 3), "bf16");
  EXPECT_EQ(format_of(*file, TensorClass::kMlp, 4), "w4g32-requantized");
  EXPECT_EQ(format_of(*file, TensorClass::kMlp, 5), "bf16");
}

TEST(Recipe, EmbeddingAndHeadHaveNoLayer) {
  json recipe = whole();
  recipe["weights"][0]["layers"] = "4-5";
  const absl::StatusOr<RecipeFile> file = parse(recipe);
  EXPECT_EQ(format_of(*file, TensorClass::kEmbedding, 0), "w8");
  EXPECT_EQ(format_of(*file, TensorClass::kHead, 0), "w8");
}

TEST(Recipe, DroppedLayersAreASetOfLayers) {
  json recipe = whole();
  recipe["drop_layers"] = {9, 2, 9, 5};
  const absl::StatusOr<RecipeFile> file = parse(recipe);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_THAT(file->recipe.dropped, ElementsAre(2, 5, 9));
  for (int64_t layer = 0; layer < 12; ++layer) {
    EXPECT_EQ(file->recipe.drops(layer), layer == 2 || layer == 5 || layer == 9) << layer;
  }
}

TEST(Recipe, EqualRecipesHaveEqualTexts) {
  json other = whole();
  other["name"] = "another";
  other["drop_layers"] = {3, 12, 3};
  other["weights"][0]["requantize"] = false;
  other["weights"][2]["tensors"] = {"mlp", "attention", "mlp"};
  EXPECT_EQ(parse(whole())->recipe.text(), parse(other)->recipe.text());
  json one = whole(), range = whole();
  one["weights"][1]["layers"] = "4";
  range["weights"][1]["layers"] = "4-4";
  EXPECT_EQ(parse(one)->recipe.text(), parse(range)->recipe.text());
}

TEST(Recipe, OtherRecipesHaveOtherTexts) {
  const std::function<void(json&)> changes[] = {
      [](json&) {},
      [](json& r) { r["weights"][0]["format"] = "bf16"; },
      [](json& r) { r["weights"][0]["tensors"] = {"embedding"}; },
      [](json& r) { r["weights"][1]["format"] = "w4g64"; },
      [](json& r) { r["weights"][1]["format"] = "w4"; },
      [](json& r) { r["weights"][1]["requantize"] = false; },
      [](json& r) { r["weights"][1]["layers"] = "2-6"; },
      [](json& r) { r["weights"][1]["layers"] = "1-5"; },
      [](json& r) { r["weights"][1].erase("layers"); },
      [](json& r) { r["drop_layers"] = {3}; },
      [](json& r) { std::swap(r["weights"][1], r["weights"][2]); },
      [](json& r) { r["weights"].erase(2); },
  };
  std::map<std::string, json> seen;
  for (const auto& change : changes) {
    json recipe = whole();
    change(recipe);
    const absl::StatusOr<RecipeFile> file = parse(recipe);
    ASSERT_TRUE(file.ok()) << file.status();
    const auto [place, fresh] = seen.emplace(file->recipe.text(), recipe);
    EXPECT_TRUE(fresh) << place->first << " is the text of\n" << place->second << "\nand of\n" << recipe;
  }
}

TEST(Recipe, AUniformOneHasTheTextOfItsMode) {
  json recipe = whole();
  recipe.erase("drop_layers");
  recipe["weights"] = {{{"tensors", {"head", "embedding"}}, {"format", "w8"}},
                       {{"tensors", {"mlp", "attention"}}, {"format", "w4"}}};
  EXPECT_EQ(parse(recipe)->recipe.text(), parse_mode("w4a8")->recipe.text());
}

TEST(RecipeFile, IsAModeOfItsOwnName) {
  TestDirectory directory;
  std::ofstream(directory.file("any.json")) << whole();
  const absl::StatusOr<Mode> mode = parse_mode("recipe:" + directory.file("any.json"));
  ASSERT_TRUE(mode.ok()) << mode.status();
  EXPECT_EQ(mode->id, "recipe:mixed-1.2_x");
  EXPECT_EQ(mode->activations, "a8");
  EXPECT_EQ(mode->kv, "kv8");
  EXPECT_EQ(mode->recipe.text(), parse(whole())->recipe.text());
}

TEST(RecipeFile, OneThatCannotBeReadIsNamed) {
  TestDirectory directory;
  EXPECT_THAT(std::string(read_recipe(directory.file("missing.json")).status().message()), HasSubstr("missing.json"));
  std::ofstream(directory.file("large.json")) << std::string(2 << 20, ' ');
  EXPECT_THAT(std::string(read_recipe(directory.file("large.json")).status().message()), HasSubstr("large.json"));
  std::ofstream(directory.file("empty.json"));
  EXPECT_THAT(std::string(read_recipe(directory.file("empty.json")).status().message()), HasSubstr("empty.json"));
}

// docs/MODES.md shows one whole recipe between ```json and ```, and a table whose first column are modes.
std::string modes_page() {
  std::ifstream file(std::string(HALFTONE_TEST_DATA) + "/../docs/MODES.md");
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST(ModesPage, ShowsARecipeThatIsOneWithEveryField) {
  const std::string page = modes_page(), fence = "```json\n";
  const size_t begin = page.find(fence);
  ASSERT_NE(begin, std::string::npos) << "docs/MODES.md has no example";
  const std::string example = page.substr(begin + fence.size(), page.find("```", begin + 3) - begin - fence.size());
  const absl::StatusOr<RecipeFile> file = parse_recipe(example, "docs/MODES.md");
  ASSERT_TRUE(file.ok()) << file.status();
  for (TensorClass c : {TensorClass::kEmbedding, TensorClass::kAttention, TensorClass::kMlp, TensorClass::kHead}) {
    EXPECT_NE(format_of(*file, c, 0), "none") << "the example leaves a matrix without a format";
  }
  const json fields = whole(), row = fields["weights"][1];
  for (const json* object : {&fields, &row}) {
    for (const auto& [key, value] : object->items()) EXPECT_THAT(example, HasSubstr("\"" + key + "\""));
  }
}

TEST(ModesPage, NamesModesThatExist) {
  std::istringstream lines(modes_page());
  int modes = 0;
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("| `", 0) != 0) continue;
    std::istringstream cell(line.substr(2, line.find(" |", 2) - 2));
    for (std::string id; std::getline(cell, id, ',');) {
      id.erase(std::remove_if(id.begin(), id.end(), [](char c) { return c == '`' || c == ' '; }), id.end());
      EXPECT_TRUE(parse_mode(id).ok()) << id << " in docs/MODES.md: " << parse_mode(id).status();
      ++modes;
    }
  }
  EXPECT_GE(modes, 10) << "docs/MODES.md has no table of modes";
}

}  // namespace
}  // namespace halftone
