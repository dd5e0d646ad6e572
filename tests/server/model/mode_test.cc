#include "server/model/mode.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernels/kv/kv.h"
#include "kernels/weights/weights.h"

namespace halftone {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<std::string> ids(const std::vector<Mode>& modes) {
  std::vector<std::string> out;
  for (const Mode& mode : modes) out.push_back(mode.id);
  return out;
}

TEST(Mode, AnIdSaysHowEverythingIsStored) {
  const absl::StatusOr<Mode> mode = parse_mode("w4a16+kv8");
  ASSERT_TRUE(mode.ok()) << mode.status();
  EXPECT_EQ(mode->id, "w4a16+kv8");
  EXPECT_EQ(mode->recipe.choose(TensorClass::kMlp, 3)->name(), "w4");
  EXPECT_EQ(mode->recipe.choose(TensorClass::kEmbedding, 0)->name(), "w8");
  EXPECT_EQ(mode->recipe.choose(TensorClass::kHead, 0)->name(), "w8");
  EXPECT_EQ(mode->activations, "a16");
  EXPECT_EQ(mode->kv, "kv8");
  EXPECT_EQ(parse_mode("bf16")->recipe.choose(TensorClass::kHead, 0)->name(), "bf16");
  EXPECT_EQ(parse_mode("bf16")->kv, "kv16");
}

TEST(Mode, EveryKnownIdIsItsOwnAndNamesFormatsThatExist) {
  EXPECT_THAT(known_modes(), ElementsAre("f32", "f32+kv8", "bf16", "bf16+kv8", "w8a16", "w8a16+kv8", "w8a8", "w8a8+kv8",
                                         "w4a16", "w4a16+kv8", "w4a8", "w4a8+kv8"));
  for (const std::string& id : known_modes()) {
    const absl::StatusOr<Mode> mode = parse_mode(id);
    ASSERT_TRUE(mode.ok()) << mode.status();
    EXPECT_EQ(mode->id, id);
    for (TensorClass tensor_class : {TensorClass::kEmbedding, TensorClass::kAttention, TensorClass::kMlp}) {
      EXPECT_NE(find_weight_format(mode->recipe.choose(tensor_class, 0)->format), nullptr) << id;
    }
    EXPECT_NE(find_kv_format(mode->kv), nullptr) << id;
  }
}

TEST(Mode, OnlyCanonicalIdsAreTaken) {
  for (const char* id : {"", "w4", "w4a4", "w4g32", "w4g33a8", "bf16a8", "bf16g32", "w4ga8", "bf16a16", "f32a16",
                         "bf16+kv16", "BF16", " bf16", "bf16+", "+kv8", "w4a16+kv4"}) {
    const absl::StatusOr<Mode> mode = parse_mode(id);
    ASSERT_FALSE(mode.ok()) << id;
    EXPECT_EQ(mode.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(mode.status().message()), HasSubstr("\"" + std::string(id) + "\""));
    for (const std::string& known : known_modes()) {
      EXPECT_THAT(std::string(mode.status().message()), HasSubstr(known));
    }
  }
}

TEST(Mode, AListKeepsItsOrder) {
  const absl::StatusOr<std::vector<Mode>> modes = parse_modes("w4a16+kv8,bf16,w4a16");
  ASSERT_TRUE(modes.ok()) << modes.status();
  EXPECT_THAT(ids(*modes), ElementsAre("w4a16+kv8", "bf16", "w4a16"));
}

TEST(Mode, AListWithAWrongOrDoubleEntryIsRefused) {
  EXPECT_THAT(std::string(parse_modes("bf16,w5a16").status().message()), HasSubstr("\"w5a16\""));
  EXPECT_THAT(std::string(parse_modes("bf16,f32,bf16").status().message()), HasSubstr("\"bf16\" is listed twice"));
  for (const char* list : {"", ",", "bf16,", ",bf16", "bf16,,f32"}) EXPECT_FALSE(parse_modes(list).ok()) << list;
}

TEST(Mode, ModesThatDifferInTheirPagesAloneShareARecipe) {
  EXPECT_EQ(parse_mode("w4a16")->recipe.text(), parse_mode("w4a8+kv8")->recipe.text());
  EXPECT_NE(parse_mode("w4a16")->recipe.text(), parse_mode("w4g32a16")->recipe.text());
}

}  // namespace
}  // namespace halftone
