// Whether a file has the tensors that its model is made of: all of them, and no others.
#include "server/source/checkpoint.h"

#include "tests/server/source/source_testing.h"
#include "tests/support/checkpoint_encode.h"
#include "tests/support/checkpoint_writer.h"

namespace halftone {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class CheckpointTensors : public testing::Test {
 protected:
  // The families that a GGUF file calls by their own name.
  static std::vector<TinyCheckpoint> tiny_families() {
    std::vector<TinyCheckpoint> all;
    for (const Family* family : all_families()) {
      TinyCheckpoint tiny;
      tiny.config = tiny_config(std::string(family->name));
      if (tiny.config.architecture != "mistral") all.push_back(tiny);
    }
    return all;
  }

  absl::Status without(const TinyCheckpoint& tiny, const std::string& name) {
    GgufBytes gguf = tiny_gguf_keys(tiny);
    std::vector<TinyTensor> tensors = tiny_tensors(tiny);
    std::erase_if(tensors, [&](const TinyTensor& tensor) { return tensor.name == name; });
    add_tiny_tensors(tiny, tensors, gguf);
    return open(gguf).status();
  }

  absl::StatusOr<ModelSource> open(const GgufBytes& gguf) {
    write_test_file(path_, gguf.bytes());
    return open_model(path_);
  }

  TestDirectory directory_;
  std::string path_ = directory_.file("model.gguf");
};

TEST_F(CheckpointTensors, APartThatAFamilyMayHaveIsUsedAndOneThatItNeverHasIsRefused) {
  const std::vector<std::pair<std::vector<std::string>, Part Family::*>> parts = {
      {{"q_bias", "k_bias", "v_bias"}, &Family::qkv_bias},
      {{"o_bias"}, &Family::o_bias},
      {{"q_norm", "k_norm"}, &Family::qk_norm}};
  for (const TinyCheckpoint& tiny : tiny_families()) {
    const Family& family = *find_family(tiny.config.architecture);
    const TinyConfig& c = tiny.config;
    for (const auto& [names, rule] : parts) {
      if (family.*rule == Part::kMust) continue;
      SCOPED_TRACE(c.architecture + " " + names[0]);
      GgufBytes gguf = tiny_gguf(tiny);
      for (int64_t layer = 0; layer < c.layers; ++layer) {
        for (const std::string& name : names) {
          TinyTensor tensor;
          tensor.name = "layers." + std::to_string(layer) + "." + name;
          tensor.type = "F32";
          tensor.vector = true;
          tensor.cols = name.ends_with("norm") ? c.head_dim
                        : name == "o_bias"     ? c.dim
                                               : (name == "q_bias" ? c.heads : c.kv_heads) * c.head_dim;
          tensor.values.assign(static_cast<size_t>(tensor.cols), 1.0f);
          add_tiny_tensor(tiny, tensor, gguf);
        }
      }
      const absl::StatusOr<ModelSource> source = open(gguf);
      EXPECT_EQ(source.ok(), family.*rule != Part::kNever) << source.status();
      if (source.ok()) {
        EXPECT_NE(source->find("layers.1." + names[0]), nullptr);
        continue;
      }
      EXPECT_THAT(std::string(source.status().message()),
                  HasSubstr("tensor " + gguf_tensor_name("layers.0." + names[0]) + " belongs to no " + c.architecture +
                            " model that we know"));
    }
  }
}

TEST_F(CheckpointTensors, APartOfOneLayerIsAPartOfAll) {
  TinyCheckpoint tiny;
  tiny.attention_bias = true;
  for (const char* name : {"layers.0.q_bias", "layers.1.k_bias", "layers.0.v_bias", "layers.1.o_bias"}) {
    const absl::Status status = without(tiny, name);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr(std::string("the tensor for ") + name + " is missing"));
  }
}

TEST_F(CheckpointTensors, AMissingOneIsNamedWithTheShapeItShouldHave) {
  for (const TinyCheckpoint& tiny : tiny_families()) {
    for (const TinyTensor& tensor : tiny_tensors(tiny)) {
      if (tensor.name == "embedding") continue;                          // without it nobody knows the vocabulary
      if (tensor.name.find(".experts.") != std::string::npos) continue;  // a file has all or none
      const absl::Status status = without(tiny, tensor.name);
      EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << tensor.name;
      const std::string rows = tensor.vector ? "" : std::to_string(tensor.rows) + ", ";
      EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr("the tensor for " + tensor.name + " is missing"),
                                                       HasSubstr("[" + rows + std::to_string(tensor.cols) + "]")));
    }
  }
}

TEST_F(CheckpointTensors, LayersOfTheirOwnSizesAreReadFromBothKindsOfFiles) {
  TinyCheckpoint tiny;
  tiny.config.own_sizes = {{4, 2, 96}, {2, 1, 40}};
  write_tiny_gguf(path_, tiny);
  write_tiny_huggingface(directory_.file("h"), tiny);
  absl::StatusOr<ModelSource> gguf = open_model(path_), huggingface = open_model(directory_.file("h"));
  ASSERT_TRUE(gguf.ok()) << gguf.status();
  ASSERT_TRUE(huggingface.ok()) << huggingface.status();
  EXPECT_EQ(gguf->spec.layers[0].heads, 4);
  EXPECT_EQ(gguf->spec.layers[1].heads, 2);
  EXPECT_EQ(gguf->spec.layers[1].kv_heads, 1);
  EXPECT_EQ(gguf->spec.layers[1].ffn, 40);
  EXPECT_EQ(gguf->spec.layers, huggingface->spec.layers);
  expect_same_tensors(*gguf, *huggingface);
  tiny.config.own_sizes[1].ffn = 96;
  EXPECT_NE(open(tiny_gguf(tiny))->digest, gguf->digest);
}

TEST_F(CheckpointTensors, WhatAFamilyHasOfItsOwnIsTheSameOutOfBothKindsOfFiles) {
  for (const char* family : {"gemma2", "gemma3"}) {
    SCOPED_TRACE(family);
    TinyCheckpoint tiny;
    tiny.config = tiny_config(family);
    write_tiny_gguf(path_, tiny);
    write_tiny_huggingface(directory_.file("h"), tiny);
    absl::StatusOr<ModelSource> gguf = open_model(path_), huggingface = open_model(directory_.file("h"));
    ASSERT_TRUE(gguf.ok()) << gguf.status();
    ASSERT_TRUE(huggingface.ok()) << huggingface.status();
    EXPECT_EQ(gguf->spec.family, family);
    EXPECT_EQ(gguf->spec.layers, huggingface->spec.layers);
    EXPECT_EQ(gguf->spec.ropes, huggingface->spec.ropes);
    EXPECT_EQ(gguf->spec.embedding_scale, huggingface->spec.embedding_scale);
    EXPECT_EQ(gguf->spec.logit_cap, huggingface->spec.logit_cap);
    EXPECT_EQ(gguf->spec.tied_head, huggingface->spec.tied_head);
    expect_same_tensors(*gguf, *huggingface);
    for (const TinyTensor& tensor : tiny_tensors(tiny)) {
      EXPECT_EQ(read_all(*gguf->find(tensor.name)), tensor.values) << tensor.name;
    }
  }
}

TEST_F(CheckpointTensors, AListOfSizesHasOneForEachLayer) {
  GgufBytes gguf;
  gguf.key_text("general.architecture", "qwen3");
  gguf.key_u32("qwen3.block_count", 2);
  gguf.key_u32("qwen3.embedding_length", 64);
  gguf.key_i32s("qwen3.attention.head_count", {4, 2, 2});
  gguf.tensor("token_embd.weight", {4, 4}, 0, std::string(64, '\0'));
  EXPECT_THAT(std::string(open(gguf).status().message()),
              HasSubstr("qwen3.attention.head_count is a list of 3, expected one for each of the 2 layers"));
}

}  // namespace
}  // namespace halftone
