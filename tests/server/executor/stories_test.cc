// A tiny trained Llama tells its stories, from either file.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "server/text/tokenizer.h"
#include "tests/server/executor/executor_rig.h"

namespace halftone {
namespace {

const std::string kModels = HALFTONE_SHARED_DATA "/models/";

class Stories : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    const std::string path = kModels + GetParam();
    if (!std::filesystem::exists(path) || !std::filesystem::exists(kModels + "golden.json")) {
      GTEST_SKIP() << path << " or golden.json is not there: it belongs to the shared test data";
    }
    std::ifstream file(kModels + "golden.json");
    golden_ = nlohmann::json::parse(file).at("stories260K");
    source_ = std::make_unique<ModelSource>(open_source(path));
    rig_ = std::make_unique<ExecutorRig>(*source_, RigOptions{.modes = {"f32"}, .max_context = 512});
  }

  nlohmann::json golden_;
  std::unique_ptr<ModelSource> source_;
  std::unique_ptr<ExecutorRig> rig_;
};

TEST_P(Stories, AreToldWordForWord) {
  const absl::StatusOr<std::unique_ptr<Tokenizer>> tokenizer = Tokenizer::create(source_->vocabulary);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  for (const nlohmann::json& story : golden_.at("greedy")) {
    std::vector<int32_t> ids = (*tokenizer)->encode(story.at("prompt").get<std::string>(), {.add_special = true});
    ASSERT_EQ(ids, story.at("prompt_ids").get<std::vector<int32_t>>());
    const std::vector<int32_t> expected = story.at("greedy_ids").get<std::vector<int32_t>>();
    const std::vector<int32_t> told = rig_->greedy(0, ids, static_cast<int64_t>(expected.size()));
    EXPECT_EQ(told, expected);
    ids.insert(ids.end(), told.begin(), told.end());
    // The golden text keeps the space that such a vocabulary puts before a text; ours takes it away.
    EXPECT_EQ(" " + (*tokenizer)->decode(ids), story.at("text").get<std::string>());
  }
}

TEST_P(Stories, HaveTheLogitsOfDoubleArithmetic) {
  const nlohmann::json& row = golden_.at("last_logits_once_upon_a_time");
  const std::vector<int32_t> ids = row.at("ids").get<std::vector<int32_t>>();
  const std::vector<RowResult> rows = rig_->run(0, ids, 3);
  const std::vector<double> logits = logits_of(rows.back());
  double worst = 0;
  for (size_t id = 0; id < logits.size(); ++id) {
    worst = std::max(worst, std::fabs(logits[id] - row.at("logits_f64_rounded")[id].get<double>()));
  }
  std::printf("%s: largest error %.2g\n", GetParam().c_str(), worst);
  EXPECT_LE(worst, 0.01) << "keys and values are rounded to half";
}

INSTANTIATE_TEST_SUITE_P(FromEitherFile, Stories, testing::Values("stories260K/stories260K.gguf", "stories260K-hf"),
                         [](const auto& info) { return info.index == 0 ? "Gguf" : "Safetensors"; });

}  // namespace
}  // namespace halftone
