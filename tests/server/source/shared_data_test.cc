// Real files, where they are found: the tiny trained Llama in both formats, and the default model.
#include <cmath>
#include <cstdlib>
#include <filesystem>

#include "tests/server/source/source_testing.h"

namespace halftone {
namespace {

const std::string kStories = HALFTONE_SHARED_DATA "/models/stories260K";

TEST(SharedData, ATrainedModelIsTheSameFromGgufAndFromSafetensors) {
  if (!std::filesystem::exists(kStories)) GTEST_SKIP() << kStories << " is not there";
  absl::StatusOr<ModelSource> gguf = open_model(kStories + "/stories260K.gguf");
  absl::StatusOr<ModelSource> safetensors = open_model(kStories + "-hf");
  ASSERT_TRUE(gguf.ok()) << gguf.status();
  ASSERT_TRUE(safetensors.ok()) << safetensors.status();
  expect_same_config(tiny_config_of(gguf->spec), tiny_config_of(safetensors->spec));
  expect_same_tensors(*gguf, *safetensors);
  EXPECT_EQ(gguf->spec.context, 2048) << "as that file claims";
  EXPECT_EQ(safetensors->spec.context, 512);
  EXPECT_EQ(gguf->vocabulary.pieces, safetensors->vocabulary.pieces);
  EXPECT_EQ(gguf->vocabulary.kind, safetensors->vocabulary.kind);
  EXPECT_EQ(gguf->vocabulary.bos, safetensors->vocabulary.bos);
  EXPECT_EQ(gguf->vocabulary.eos, safetensors->vocabulary.eos);
  EXPECT_FALSE(gguf->vocabulary.pad) << "4294967295 is none";
}

std::string default_model() {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  const std::string base = cache && *cache ? cache : std::string(home ? home : "") + "/.cache";
  return base + "/halftone/SmolLM2-135M-Instruct.Q4_1.gguf";
}

TEST(SharedData, TheDefaultModelIsReadAsItsCardSays) {
  const std::string path = default_model();
  if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is not there: run tools/fetch_model";
  absl::StatusOr<ModelSource> source = open_model(path);
  ASSERT_TRUE(source.ok()) << source.status();
  const TinyConfig config = tiny_config_of(source->spec);
  EXPECT_EQ(config.architecture, "llama");
  EXPECT_EQ(config.layers, 30);
  EXPECT_EQ(config.dim, 576);
  EXPECT_EQ(config.heads, 9);
  EXPECT_EQ(config.kv_heads, 3);
  EXPECT_EQ(config.head_dim, 64);
  EXPECT_EQ(config.ffn, 1536);
  EXPECT_EQ(config.vocabulary, 49152);
  EXPECT_EQ(config.context, 8192);
  EXPECT_EQ(config.rope_theta, 100000);
  EXPECT_TRUE(config.tied_head);
  EXPECT_EQ(source->format, "gguf/Q4_1");
  EXPECT_EQ(source->mapped_bytes, 98362432u);
  EXPECT_EQ(source->tensors.size(), 272u);
  EXPECT_EQ(source->find("embedding")->type(), "Q8_0");
  EXPECT_EQ(source->find("layers.29.down")->grid()->offset, AffineGrid::Offset::kMinimum);
  EXPECT_EQ(source->vocabulary.eos, std::vector<TokenId>{2});
  EXPECT_FALSE(source->vocabulary.add_bos);
  EXPECT_NE(source->chat_template.find("SmolLM"), std::string::npos);
  double squares = 0;
  const std::vector<float> q = read_all(*source->find("layers.0.q"));
  for (float value : q) squares += static_cast<double>(value) * value;
  EXPECT_GT(squares / static_cast<double>(q.size()), 1e-4);
}

}  // namespace
}  // namespace halftone
