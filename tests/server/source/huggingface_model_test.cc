#include "server/source/huggingface_model.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "tests/server/source/source_testing.h"
#include "tests/support/checkpoint_golden.h"
#include "tests/support/checkpoint_writer.h"

namespace halftone {
namespace {

using nlohmann::json;
using testing::HasSubstr;

class HuggingFaceModel : public testing::Test {
 protected:
  std::string error() { return std::string(open_model(path_).status().message()); }
  json read(const std::string& name) {
    std::ifstream file(path_ + "/" + name);
    return json::parse(file);
  }
  void write(const std::string& name, const json& value) { write_test_file(path_ + "/" + name, value.dump()); }

  TestDirectory directory_;
  std::string path_ = directory_.file("my-model");
};

TEST_F(HuggingFaceModel, TheSameModelComesOutOfADirectoryAndOutOfGguf) {
  for (const char* architecture : {"llama", "mistral", "qwen2", "qwen3"}) {
    SCOPED_TRACE(architecture);
    TinyCheckpoint tiny;
    tiny.config = tiny_config(architecture);
    tiny.config.tied_head = std::string(architecture) == "qwen2";
    tiny.generation = {0.25f, 0.9f, 1.125f, 40};
    write_tiny_huggingface(path_, tiny);
    write_tiny_gguf(directory_.file("m.gguf"), tiny);
    absl::StatusOr<ModelSource> ours = open_model(path_), gguf = open_model(directory_.file("m.gguf"));
    ASSERT_TRUE(ours.ok()) << ours.status();
    ASSERT_TRUE(gguf.ok()) << gguf.status();
    EXPECT_EQ(ours->spec.family, architecture);
    expect_same_config(tiny_config_of(ours->spec), tiny_config_of(gguf->spec));
    expect_same_tensors(*ours, *gguf);
    EXPECT_EQ(ours->generation.temperature, gguf->generation.temperature);
    EXPECT_EQ(ours->generation.top_k, gguf->generation.top_k);
    EXPECT_EQ(ours->vocabulary.pieces, gguf->vocabulary.pieces);
    EXPECT_EQ(ours->vocabulary.merges, gguf->vocabulary.merges);
    EXPECT_EQ(ours->vocabulary.eos, gguf->vocabulary.eos);
    EXPECT_EQ(ours->chat_template, gguf->chat_template);
    EXPECT_EQ(ours->spec.name, "my-model");
  }
}

TEST_F(HuggingFaceModel, ShardsAndSixteenBitTypesAreRead) {
  TinyCheckpoint tiny;
  tiny.body_type = "BF16";
  tiny.embedding_type = "F16";
  write_tiny_huggingface(path_, tiny, 3);
  absl::StatusOr<ModelSource> source = open_model(path_);
  ASSERT_TRUE(source.ok()) << source.status();
  EXPECT_EQ(source->format, "safetensors/BF16");
  EXPECT_EQ(source->bits_per_weight, 16);
  EXPECT_EQ(source->tensors.size(), tiny_tensors(tiny).size());
  uint64_t bytes = 0;
  for (const auto& entry : std::filesystem::directory_iterator(path_)) {
    if (entry.path().extension() == ".safetensors") bytes += entry.file_size();
  }
  EXPECT_EQ(source->mapped_bytes, bytes);
  for (const TinyTensor& tensor : tiny_tensors(tiny)) {
    const std::vector<float> values = read_all(*source->find(tensor.name));
    for (size_t i = 0; i < values.size(); ++i) {
      ASSERT_NEAR(values[i], tensor.values[i], std::abs(tensor.values[i]) / 256 + 1e-7) << tensor.name << " " << i;
    }
  }
}

TEST_F(HuggingFaceModel, ATemplateFileOfItsOwnWins) {
  write_tiny_huggingface(path_, TinyCheckpoint{});
  EXPECT_EQ(open_model(path_)->chat_template, tiny_chat_template());
  write_test_file(path_ + "/chat_template.jinja", "{{ mine }}");
  EXPECT_EQ(open_model(path_)->chat_template, "{{ mine }}");
}

TEST_F(HuggingFaceModel, OfSeveralNamedTemplatesTheDefaultIsTaken) {
  write_tiny_huggingface(path_, TinyCheckpoint{});
  json config = read("tokenizer_config.json");
  config["chat_template"] = {{{"name", "tool_use"}, {"template", "{{ tools }}"}},
                             {{"name", "default"}, {"template", "{{ plain }}"}}};
  write("tokenizer_config.json", config);
  absl::StatusOr<ModelSource> source = open_model(path_);
  ASSERT_TRUE(source.ok()) << source.status();
  EXPECT_EQ(source->chat_template, "{{ plain }}");
}

TEST_F(HuggingFaceModel, OptionalFilesMayBeMissing) {
  write_tiny_huggingface(path_, TinyCheckpoint{});
  std::filesystem::remove(path_ + "/generation_config.json");
  std::filesystem::remove(path_ + "/tokenizer_config.json");
  absl::StatusOr<ModelSource> source = open_model(path_);
  ASSERT_TRUE(source.ok()) << source.status();
  EXPECT_EQ(source->chat_template, "");
  EXPECT_EQ(source->vocabulary.eos, std::vector<TokenId>{2}) << "from config.json";
}

TEST_F(HuggingFaceModel, NeededFilesThatAreMissingAreNamed) {
  for (const char* name : {"config.json", "tokenizer.json", "model.safetensors"}) {
    write_tiny_huggingface(path_, TinyCheckpoint{});
    std::filesystem::remove(path_ + "/" + name);
    EXPECT_EQ(open_model(path_).status().code(), absl::StatusCode::kNotFound) << name;
    EXPECT_THAT(error(), HasSubstr(name));
  }
  write_tiny_huggingface(path_, TinyCheckpoint{}, 2);
  std::filesystem::remove(path_ + "/model.safetensors");
  std::filesystem::remove(path_ + "/model-00002-of-00002.safetensors");
  EXPECT_THAT(error(), HasSubstr("model-00002-of-00002.safetensors: cannot open"));
}

TEST_F(HuggingFaceModel, AnIndexCannotLieOrLeadOutOfTheDirectory) {
  const std::string index = "model.safetensors.index.json";
  write_tiny_huggingface(path_, TinyCheckpoint{}, 2);
  json map = read(index);
  const json good = map;
  for (const char* file : {"../secret.safetensors", "/etc/passwd", "..", "", "a/b.safetensors"}) {
    map["weight_map"]["model.norm.weight"] = file;
    write(index, map);
    EXPECT_THAT(error(), HasSubstr("tensor model.norm.weight is in no file of this directory")) << file;
  }
  map = good;
  map["weight_map"]["model.norm.weight"] = 5;
  write(index, map);
  EXPECT_THAT(error(), HasSubstr("is in no file of this directory"));
  map = good;
  map["weight_map"]["model.invented.weight"] = "model-00001-of-00002.safetensors";
  write(index, map);
  EXPECT_THAT(error(), HasSubstr("tensor model.invented.weight is missing, the index says it is here"));
  write(index, {{"weight_map", json::array()}});
  EXPECT_THAT(error(), HasSubstr("weight_map: expected an object of file names"));
  write_test_file(path_ + "/" + index, "{");
  EXPECT_THAT(error(), HasSubstr(index + ": not valid JSON at line 1, column 2"));
}

TEST_F(HuggingFaceModel, WhatDoesNotFitTogetherIsNamed) {
  struct Case {
    const char* config;  // merged over a good one
    const char* expected;
  };
  const Case cases[] = {
      {R"({"num_hidden_layers": 3})", "the tensor for layers.2.attention_norm is missing"},
      {R"({"num_hidden_layers": 1})", "the model has 1 layers, counted from 0"},
      {R"({"intermediate_size": 97})", "expected [64, 97]"},
      {R"({"vocab_size": 321})", "tensor model.embed_tokens.weight is [320, 64], expected [321, 64]"},
      {R"({"vocab_size": 319})", "tensor model.embed_tokens.weight is [320, 64], expected [319, 64]"},
      {R"({"tie_word_embeddings": false})", "the tensor for head is missing"},
      {R"({"head_dim": 32})", "self_attn.k_proj.weight is [32, 64], expected [64, 64]"},
  };
  for (const Case& bad : cases) {
    write_tiny_huggingface(path_, TinyCheckpoint{});
    json config = read("config.json");
    config.merge_patch(json::parse(bad.config));
    write("config.json", config);
    ASSERT_FALSE(open_model(path_).ok()) << bad.config;
    EXPECT_THAT(error(), HasSubstr(bad.expected)) << bad.config;
    EXPECT_THAT(error(), HasSubstr(path_)) << bad.config;
  }
}

TEST_F(HuggingFaceModel, AnUnknownFamilyIsNamed) {
  write_tiny_huggingface(path_, TinyCheckpoint{});
  json config = read("config.json");
  config["model_type"] = "mamba";
  write("config.json", config);
  EXPECT_EQ(open_model(path_).status().code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(error(), HasSubstr(path_ + "/config.json: architecture \"mamba\" is not known; known ones: "));
}

TEST(Golden, EveryGoldenCheckpointOpensAndMatchesItsLogits) {
  for (const std::string& name : all_golden_names()) {
    SCOPED_TRACE(name);
    const Golden golden = read_golden(name);
    absl::StatusOr<ModelSource> source = open_model(golden.directory);
    ASSERT_TRUE(source.ok()) << source.status();
    EXPECT_EQ(source->spec.vocabulary, golden.cols);
    EXPECT_EQ(source->spec.name, name);
    EXPECT_LT(source->mapped_bytes, 400u << 10);
    const auto [least, most] = std::minmax_element(golden.logits.begin(), golden.logits.end());
    EXPECT_NEAR(*most - *least, golden.range, 1e-3);
    if (name == "mistral_window") {
      EXPECT_LT(source->spec.layers[0].window, golden.rows);
    }
    if (name == "llama3") {
      EXPECT_EQ(source->spec.ropes[0].scaling.kind, RopeScaling::Kind::kLlama3);
    }
    if (name == "llama_linear") {
      EXPECT_EQ(source->spec.ropes[0].scaling.kind, RopeScaling::Kind::kLinear);
    }
    for (const auto& [tensor, reader] : source->tensors) read_all(*reader);
  }
}

}  // namespace
}  // namespace halftone
