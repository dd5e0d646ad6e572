#include "server/source/huggingface_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace halftone {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

json good_config(const std::string& type = "llama") {
  return {{"model_type", type},       {"num_hidden_layers", 2},  {"hidden_size", 64},
          {"num_attention_heads", 4}, {"intermediate_size", 96}, {"vocab_size", 320}};
}

absl::StatusOr<HuggingFaceConfig> read(const json& config, const std::string& generation = "") {
  return read_huggingface_config(config.dump(), "m/config.json", generation, "m/generation_config.json");
}

TEST(HuggingFaceConfig, WhatIsLeftOutHasTheFamilysDefault) {
  absl::StatusOr<HuggingFaceConfig> config = read(good_config());
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->model.kv_heads, 4);
  EXPECT_EQ(config->model.head_dim, 16);
  EXPECT_EQ(config->model.rope_theta, 10000);
  EXPECT_EQ(config->model.rms_epsilon, 1e-6f);
  EXPECT_EQ(config->model.sliding_window, 0);
  EXPECT_FALSE(config->model.tied_head);
  EXPECT_EQ(read(good_config("mistral"))->model.sliding_window, 4096);
  EXPECT_EQ(read(good_config("qwen3"))->model.head_dim, 128);
  EXPECT_EQ(read(good_config("qwen2"))->model.head_dim, 16);
}

TEST(HuggingFaceConfig, BothSpellingsOfRopeScalingAreRead) {
  json older = good_config(), newer = good_config();
  older["rope_theta"] = 500000.0;
  older["rope_scaling"] = {{"rope_type", "llama3"},
                           {"factor", 32.0},
                           {"low_freq_factor", 1.0},
                           {"high_freq_factor", 4.0},
                           {"original_max_position_embeddings", 8192}};
  newer["rope_parameters"] = older["rope_scaling"];
  newer["rope_parameters"]["rope_theta"] = 500000.0;
  for (const json& one : {older, newer}) {
    absl::StatusOr<HuggingFaceConfig> config = read(one);
    ASSERT_TRUE(config.ok()) << config.status();
    EXPECT_EQ(config->model.rope_theta, 500000);
    EXPECT_EQ(config->model.rope_scaling.kind, RopeScaling::Kind::kLlama3);
    EXPECT_EQ(config->model.rope_scaling.factor, 32);
    EXPECT_EQ(config->model.rope_scaling.low_frequency_factor, 1);
    EXPECT_EQ(config->model.rope_scaling.high_frequency_factor, 4);
    EXPECT_EQ(config->model.rope_scaling.original_context, 8192);
  }
  json linear = good_config();
  linear["rope_scaling"] = {{"type", "linear"}, {"factor", 2}};
  EXPECT_EQ(read(linear)->model.rope_scaling.kind, RopeScaling::Kind::kLinear);
  EXPECT_EQ(read(linear)->model.rope_scaling.factor, 2);
}

TEST(HuggingFaceConfig, TheWindowIsTheFamilysOwnMatter) {
  json mistral = good_config("mistral"), qwen = good_config("qwen2"), llama = good_config();
  mistral["sliding_window"] = nullptr;
  EXPECT_EQ(read(mistral)->model.sliding_window, 0);
  mistral["sliding_window"] = 7;
  EXPECT_EQ(read(mistral)->model.sliding_window, 7);
  llama["sliding_window"] = 7;
  EXPECT_EQ(read(llama)->model.sliding_window, 0) << "Llama has none";
  qwen["sliding_window"] = 7;
  qwen["max_window_layers"] = 0;
  EXPECT_EQ(read(qwen)->model.sliding_window, 0) << "not used unless the file says so";
  qwen["use_sliding_window"] = true;
  EXPECT_EQ(read(qwen)->model.sliding_window, 7);
  qwen["max_window_layers"] = 2;
  EXPECT_EQ(read(qwen)->model.sliding_window, 0) << "it would begin beyond the last layer";
  qwen["max_window_layers"] = 1;
  EXPECT_EQ(read(qwen).status().code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(std::string(read(qwen).status().message()), HasSubstr("1 of 2 layers have no window"));
  qwen["layer_types"] = {"sliding_attention", "sliding_attention"};
  EXPECT_EQ(read(qwen)->model.sliding_window, 7);
}

TEST(HuggingFaceConfig, TheFamilyMayBeNamedByItsClass) {
  json config = good_config();
  config.erase("model_type");
  config["architectures"] = {"MistralForCausalLM"};
  EXPECT_EQ(read(config)->model.architecture, "mistral");
  config["architectures"] = {"MambaForCausalLM"};
  EXPECT_EQ(read(config)->model.architecture, "MambaForCausalLM") << "server/model refuses it by name";
}

TEST(HuggingFaceConfig, GenerationConfigGivesSamplingAndEnds) {
  absl::StatusOr<HuggingFaceConfig> config =
      read(good_config(), R"({"do_sample": true, "temperature": 0.25, "top_p": 0.9, "top_k": 20,)"
                          R"( "repetition_penalty": 1.125, "eos_token_id": [7, 9, 7], "bos_token_id": 3})");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->generation.temperature, 0.25f);
  EXPECT_EQ(config->generation.top_p, 0.9f);
  EXPECT_EQ(config->generation.top_k, 20);
  EXPECT_EQ(config->generation.repetition_penalty, 1.125f);
  EXPECT_THAT(config->eos, ElementsAre(7, 9));
  EXPECT_EQ(config->bos, 3);
  EXPECT_FALSE(read(good_config(), R"({"do_sample": false, "temperature": 0.5})")->generation.temperature);
}

TEST(HuggingFaceConfig, EndsComeFromConfigWhereGenerationConfigHasNone) {
  json config = good_config();
  config["eos_token_id"] = 5;
  config["pad_token_id"] = -1;
  EXPECT_THAT(read(config)->eos, ElementsAre(5));
  EXPECT_THAT(read(config, "{}")->eos, ElementsAre(5));
  EXPECT_THAT(read(config, R"({"eos_token_id": 6})")->eos, ElementsAre(6));
}

TEST(HuggingFaceConfig, MistakesAreNamedWithTheirKey) {
  struct Case {
    const char* change;  // merged over a good configuration; null takes a key away
    const char* expected;
  };
  const Case cases[] = {
      {R"({"hidden_size": null})", "m/config.json: hidden_size is missing, expected an integer"},
      {R"({"hidden_size": "64"})", "m/config.json: hidden_size is something else, expected an integer"},
      {R"({"hidden_size": 64.5})", "hidden_size is something else"},
      {R"({"hidden_size": 66})", "hidden_size = 66, expected a multiple of the 4 heads"},
      {R"({"hidden_size": -64})", "embedding length = -64, expected 1 to"},
      {R"({"num_attention_heads": 0})", "hidden_size = 64, expected a multiple of the 0 heads"},
      {R"({"num_hidden_layers": 1000000000000})", "layers = 1e+12, expected 1 to"},
      {R"({"vocab_size": 9223372036854775807})", "vocabulary = 9.2"},
      {R"({"vocab_size": 18446744073709551615})", "vocab_size is something else"},
      {R"({"num_key_value_heads": 3})", "4 heads, expected a multiple of the 3 KV heads"},
      {R"({"head_dim": 15})", "head size 15, expected an even number"},
      {R"({"rms_norm_eps": 1e300})", "rms epsilon = inf"},
      {R"({"rope_theta": 0})", "rope theta = 0"},
      {R"({"rope_scaling": []})", "rope_scaling: expected an object"},
      {R"({"rope_scaling": {"type": "linear"}})", "m/config.json: rope_scaling.factor is missing, expected a number"},
      {R"({"rope_scaling": {"rope_type": "yarn"}})", "RoPE of type \"yarn\", expected default, linear or llama3"},
      {R"({"rope_scaling": {"rope_type": "llama3", "factor": 8, "low_freq_factor": 4, "high_freq_factor": 4,
           "original_max_position_embeddings": 64}})",
       "high_freq_factor 4 is not above low_freq_factor 4"},
      {R"({"hidden_act": "gelu"})", "hidden_act: \"gelu\", expected silu"},
      {R"({"quantization_config": {"quant_method": "gptq"}})", "quantization_config: quantized tensors"},
      {R"({"partial_rotary_factor": 0.5})", "partial_rotary_factor: only a part"},
      {R"({"tie_word_embeddings": 1})", "tie_word_embeddings is something else, expected true or false"},
      {R"({"eos_token_id": "x"})", "eos_token_id: expected token ids"},
      {R"({"eos_token_id": [4294967296]})", "eos_token_id: expected token ids"},
      {R"({"model_type": null})", "model_type is missing"},
      {R"({"model_type": 5})", "model_type is something else"},
  };
  for (const Case& bad : cases) {
    json config = good_config();
    config.merge_patch(json::parse(bad.change));
    absl::StatusOr<HuggingFaceConfig> result = read(config);
    ASSERT_FALSE(result.ok()) << bad.change;
    EXPECT_THAT(std::string(result.status().message()), HasSubstr(bad.expected)) << bad.change;
  }
}

TEST(HuggingFaceConfig, GenerationConfigIsCheckedAsWell) {
  auto error = [](const char* generation) { return std::string(read(good_config(), generation).status().message()); };
  EXPECT_THAT(error("{"), HasSubstr("m/generation_config.json: not valid JSON"));
  EXPECT_THAT(error(R"({"temperature": -1})"), HasSubstr("temperature = -1, expected 0 to 100"));
  EXPECT_THAT(error(R"({"top_p": "high"})"), HasSubstr("m/generation_config.json: top_p is something else"));
  EXPECT_THAT(error(R"({"eos_token_id": 1, "eos_token_id": 2})"), HasSubstr("the key \"eos_token_id\" is there twice"));
}

}  // namespace
}  // namespace halftone
