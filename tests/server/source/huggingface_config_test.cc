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
  EXPECT_EQ(config->spec.layers[0].kv_heads, 4);
  EXPECT_EQ(config->spec.layers[0].head_dim, 16);
  EXPECT_EQ(config->spec.ropes[0].theta, 10000);
  EXPECT_EQ(config->spec.rms_epsilon, 1e-6f);
  EXPECT_EQ(config->spec.layers[0].window, 0);
  EXPECT_FALSE(config->spec.tied_head);
  EXPECT_EQ(read(good_config("mistral"))->spec.layers[0].window, 4096);
  EXPECT_EQ(read(good_config("qwen3"))->spec.layers[0].head_dim, 128);
  EXPECT_EQ(read(good_config("qwen2"))->spec.layers[0].head_dim, 16);
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
    EXPECT_EQ(config->spec.ropes[0].theta, 500000);
    EXPECT_EQ(config->spec.ropes[0].scaling.kind, RopeScaling::Kind::kLlama3);
    EXPECT_EQ(config->spec.ropes[0].scaling.factor, 32);
    EXPECT_EQ(config->spec.ropes[0].scaling.low_frequency_factor, 1);
    EXPECT_EQ(config->spec.ropes[0].scaling.high_frequency_factor, 4);
    EXPECT_EQ(config->spec.ropes[0].scaling.original_context, 8192);
  }
  json linear = good_config();
  linear["rope_scaling"] = {{"type", "linear"}, {"factor", 2}};
  EXPECT_EQ(read(linear)->spec.ropes[0].scaling.kind, RopeScaling::Kind::kLinear);
  EXPECT_EQ(read(linear)->spec.ropes[0].scaling.factor, 2);
}

TEST(HuggingFaceConfig, TheWindowIsTheFamilysOwnMatter) {
  json mistral = good_config("mistral"), qwen = good_config("qwen2"), llama = good_config();
  mistral["sliding_window"] = nullptr;
  EXPECT_EQ(read(mistral)->spec.layers[0].window, 0);
  mistral["sliding_window"] = 7;
  EXPECT_EQ(read(mistral)->spec.layers[0].window, 7);
  llama["sliding_window"] = 7;
  EXPECT_EQ(read(llama)->spec.layers[0].window, 0) << "Llama has none";
  qwen["sliding_window"] = 7;
  qwen["max_window_layers"] = 0;
  EXPECT_EQ(read(qwen)->spec.layers[0].window, 0) << "not used unless the file says so";
  qwen["use_sliding_window"] = true;
  EXPECT_EQ(read(qwen)->spec.layers[0].window, 7);
  qwen["max_window_layers"] = 2;
  EXPECT_EQ(read(qwen)->spec.layers[0].window, 0) << "it would begin beyond the last layer";
  qwen["max_window_layers"] = 1;
  EXPECT_EQ(read(qwen)->spec.layers[0].window, 0);
  EXPECT_EQ(read(qwen)->spec.layers[1].window, 7) << "from max_window_layers on";
  qwen["layer_types"] = {"sliding_attention", "full_attention"};
  EXPECT_EQ(read(qwen)->spec.layers[0].window, 7);
  EXPECT_EQ(read(qwen)->spec.layers[1].window, 0);
  qwen["layer_types"] = {"sliding_attention"};
  EXPECT_THAT(std::string(read(qwen).status().message()), HasSubstr("layer_types names 1 layers, expected 2"));
}

TEST(HuggingFaceConfig, Gemma3SaysItsLayersInTwoWays) {
  json older = good_config("gemma3_text"), newer = older;
  older.update({{"sliding_window_pattern", 2}, {"sliding_window", 512}, {"rope_theta", 1e6}});
  older.update({{"rope_local_base_freq", 10000.0}, {"rope_scaling", {{"rope_type", "linear"}, {"factor", 8.0}}}});
  newer["layer_types"] = {"sliding_attention", "full_attention"};
  newer["sliding_window"] = 512;
  newer["rope_parameters"] = {{"full_attention", {{"rope_type", "linear"}, {"factor", 8.0}, {"rope_theta", 1e6}}},
                              {"sliding_attention", {{"rope_type", "default"}, {"rope_theta", 10000.0}}}};
  for (const json& one : {older, newer}) {
    absl::StatusOr<HuggingFaceConfig> config = read(one);
    ASSERT_TRUE(config.ok()) << config.status();
    const ModelSpec& spec = config->spec;
    EXPECT_EQ(spec.layers[0].window, 512);
    EXPECT_EQ(spec.layers[1].window, 0);
    ASSERT_EQ(spec.ropes.size(), 2u);
    const RopeSpec &local = spec.ropes[spec.layers[0].rope], &global = spec.ropes[spec.layers[1].rope];
    EXPECT_EQ(local.theta, 10000);
    EXPECT_EQ(local.scaling.kind, RopeScaling::Kind::kNone);
    EXPECT_EQ(global.theta, 1e6f);
    EXPECT_EQ(global.scaling.kind, RopeScaling::Kind::kLinear);
    EXPECT_EQ(global.scaling.factor, 8);
    EXPECT_EQ(global.rotated, 256);
    EXPECT_EQ(spec.embedding_scale, 8);
    EXPECT_EQ(spec.layers[0].score_scale, 1.0f / 16);
    EXPECT_EQ(spec.layers[0].gate, GateKind::kGeluTanh);
    EXPECT_TRUE(spec.layers[0].post_norms && spec.layers[0].qk_norm && spec.tied_head);
  }
  older["query_pre_attn_scalar"] = 64;
  EXPECT_EQ(read(older)->spec.layers[1].score_scale, 1.0f / 8);
  older["final_logit_softcapping"] = 30.0;
  EXPECT_EQ(read(older).status().code(), absl::StatusCode::kUnimplemented);
  older["final_logit_softcapping"] = nullptr;
  older["hidden_activation"] = "gelu";
  EXPECT_THAT(std::string(read(older).status().message()), HasSubstr("\"gelu\", expected gelu_pytorch_tanh"));
  newer["layer_types"] = {"full_attention"};
  EXPECT_THAT(std::string(read(newer).status().message()), HasSubstr("layer_types names 1 layers, expected 2"));
}

TEST(HuggingFaceConfig, TheFamilyMayBeNamedByItsClass) {
  json config = good_config();
  config.erase("model_type");
  config["architectures"] = {"MistralForCausalLM"};
  EXPECT_EQ(read(config)->spec.family, "mistral");
  config["architectures"] = {"MambaForCausalLM"};
  EXPECT_THAT(std::string(read(config).status().message()), HasSubstr("architecture \"MambaForCausalLM\" is not"));
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
      {R"({"mlp_bias": true})", "mlp_bias: biases in the feed-forward layers, expected none"},
      {R"({"attention_bias": 1})", "attention_bias is something else, expected true or false"},
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

TEST(HuggingFaceConfig, WithoutSamplingTheAuthorMeansGreedy) {
  const GenerationDefaults greedy =
      read(good_config(), R"({"do_sample": false, "temperature": 0.5, "top_k": 9, "repetition_penalty": 1.25})")
          ->generation;
  EXPECT_EQ(greedy.temperature, 0);
  EXPECT_EQ(greedy.repetition_penalty, 1.25f) << "it counts without drawing, too";
  EXPECT_FALSE(greedy.top_k);
}

TEST(HuggingFaceConfig, ADefaultThatNoRequestMayHaveIsIgnoredWithAWarning) {
  struct Case {
    const char *generation, *warning;
  };
  const Case cases[] = {
      {R"({"top_p": 0.0})", "top_p = 0, outside (0, 1]: ignored"},
      {R"({"top_p": 1e-60})", "top_p = 1e-60, outside (0, 1]: ignored"},
      {R"({"top_p": "high"})", "top_p = \\\"high\\\", expected a number: ignored"},
      {R"({"repetition_penalty": 500})", "repetition_penalty = 500, outside (0, 100]: ignored"},
      {R"({"repetition_penalty": [1]})", "repetition_penalty = [1], expected a number: ignored"},
      {R"({"temperature": -1})", "temperature = -1, outside [0, 100]: ignored"},
      {R"({"temperature": NaN})", "temperature = nan, outside [0, 100]: ignored"},
      {R"({"temperature": Infinity})", "temperature = inf, outside [0, 100]: ignored"},
      {R"({"temperature": true})", "temperature = true, expected a number: ignored"},
      {R"({"top_k": 1e300})", "top_k = 1e+300, outside [0, 4294967295]: ignored"},
      {R"({"top_k": -7})", "top_k = -7, outside [0, 4294967295]: ignored"},
      {R"({"top_k": 2.5})", "top_k = 2.5, expected an integer: ignored"},
      {R"({"do_sample": "no"})", "do_sample = \\\"no\\\", expected true or false: ignored"},
  };
  for (const Case& odd : cases) {
    absl::StatusOr<HuggingFaceConfig> config = read(good_config(), odd.generation);
    ASSERT_TRUE(config.ok()) << config.status();
    EXPECT_THAT(config->warnings, ElementsAre("m/generation_config.json: " + std::string(odd.warning)));
    const GenerationDefaults& g = config->generation;
    EXPECT_FALSE(g.temperature || g.top_p || g.top_k || g.repetition_penalty) << odd.generation;
  }
  absl::StatusOr<HuggingFaceConfig> well =
      read(good_config(), R"({"temperature": 1, "top_p": null, "top_k": -1, "repetition_penalty": 100.0})");
  EXPECT_THAT(well->warnings, ElementsAre());
  EXPECT_EQ(well->generation.temperature, 1);
  EXPECT_EQ(well->generation.top_k, 0) << "as some write that none is cut off";
  EXPECT_EQ(well->generation.repetition_penalty, 100);
}

TEST(HuggingFaceConfig, WhatPythonReadsIsRead) {
  const std::string text = R"({"model_type": "llama", "num_hidden_layers": 9, "hidden_size": 64,
      "num_attention_heads": 4, "intermediate_size": 96, "vocab_size": 320, "num_hidden_layers": 2,
      "unused": [NaN, -Infinity, {"text": "NaN"}], "other": Infinity})";
  absl::StatusOr<HuggingFaceConfig> config = read_huggingface_config(text, "m/config.json", "", "");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->spec.layer_count(), 2) << "the last counts";
  json bad = good_config();
  std::string theta = bad.dump();
  theta.insert(theta.size() - 1, R"(, "rope_theta": NaN)");
  EXPECT_THAT(std::string(read_huggingface_config(theta, "m/config.json", "", "").status().message()),
              HasSubstr("rope theta = nan"));
}

TEST(HuggingFaceConfig, TextsOfTheFileComeClean) {
  json config = good_config();
  config["model_type"] = "x\n\x1b[2J" + std::string(1 << 14, 'y');
  const std::string message(read(config).status().message());
  EXPECT_THAT(message, HasSubstr("architecture \"x\\n\\x1b[2Jyyy"));
  EXPECT_LT(message.size(), 800u);
}

TEST(HuggingFaceConfig, NoNumberOfLayersOrHeadsReachesAnAllocation) {
  for (const char* change :
       {R"({"num_hidden_layers": -1, "use_sliding_window": true, "sliding_window": 7, "model_type": "qwen2"})",
        R"({"num_hidden_layers": 1000000000})", R"({"num_attention_heads": -9223372036854775808})",
        R"({"head_dim": 0})", R"({"num_key_value_heads": 0})", R"({"max_position_embeddings": 16777217})",
        R"({"max_position_embeddings": 0})", R"({"hidden_size": -9223372036854775808, "num_attention_heads": -1})"}) {
    json config = good_config();
    config.merge_patch(json::parse(change));
    EXPECT_EQ(read(config).status().code(), absl::StatusCode::kInvalidArgument) << change;
  }
}

TEST(HuggingFaceConfig, GenerationConfigIsCheckedAsWell) {
  auto error = [](const char* generation) { return std::string(read(good_config(), generation).status().message()); };
  EXPECT_THAT(error("{\n \"a\": }"), HasSubstr("m/generation_config.json: not valid JSON at line 2, column 7"));
  EXPECT_THAT(error(R"({"eos_token_id": "x"})"), HasSubstr("eos_token_id: expected token ids"));
  EXPECT_THAT(read(good_config(), R"({"eos_token_id": 1, "eos_token_id": 2})")->eos, ElementsAre(2));
}

}  // namespace
}  // namespace halftone
