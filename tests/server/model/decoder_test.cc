#include "server/model/decoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/server/model/memory_source.h"

namespace halftone {
namespace {

using testing::AllOf;
using testing::HasSubstr;

absl::Status spoiled(const TinyCheckpoint& checkpoint, const std::function<void(MemoryTensors&)>& spoil) {
  MemoryTensors tensors = memory_tensors(checkpoint);
  spoil(tensors);
  return describe_decoder(memory_source(checkpoint.config, std::move(tensors))).status();
}

MemoryTensor ones(int64_t cols) {
  MemoryTensor tensor;
  tensor.cols = cols;
  tensor.values.assign(static_cast<size_t>(cols), 1.0f);
  return tensor;
}

absl::Status with_config(const std::function<void(ModelConfig&)>& change) {
  ModelSource source = tiny_source();
  change(source.config);
  return describe_decoder(source).status();
}

TEST(Decoder, EveryFamilyIsDescribed) {
  for (const Family* family : all_families()) {
    TinyCheckpoint tiny;
    tiny.config = tiny_config(std::string(family->architecture));
    const absl::StatusOr<Decoder> decoder = describe_decoder(tiny_source(tiny));
    ASSERT_TRUE(decoder.ok()) << decoder.status();
    EXPECT_EQ(decoder->qkv_bias, family->qkv_bias == Part::kMust) << family->architecture;
    EXPECT_EQ(decoder->qk_norm, family->qk_norm == Part::kMust) << family->architecture;
    EXPECT_FALSE(decoder->o_bias) << family->architecture;
    EXPECT_EQ(decoder->config.dim, tiny.config.dim);
    EXPECT_FALSE(family->models.empty());
  }
}

TEST(Decoder, APartThatAFamilyMayHaveIsUsedAndOneThatItNeverHasIsRefused) {
  const std::vector<std::pair<std::vector<std::string>, Part Family::*>> parts = {
      {{"q_bias", "k_bias", "v_bias"}, &Family::qkv_bias},
      {{"o_bias"}, &Family::o_bias},
      {{"q_norm", "k_norm"}, &Family::qk_norm}};
  for (const Family* family : all_families()) {
    for (const auto& [names, rule] : parts) {
      TinyCheckpoint tiny;
      tiny.config = tiny_config(std::string(family->architecture));
      MemoryTensors tensors = memory_tensors(tiny);
      const ModelConfig& c = tiny.config;
      for (int64_t layer = 0; layer < c.layers; ++layer) {
        for (const std::string& name : names) {
          const int64_t cols = name.ends_with("norm") ? c.head_dim
                               : name == "o_bias"     ? c.dim
                                                      : (name == "q_bias" ? c.heads : c.kv_heads) * c.head_dim;
          tensors["layers." + std::to_string(layer) + "." + name] = ones(cols);
        }
      }
      SCOPED_TRACE(std::string(family->architecture) + " " + names[0]);
      const absl::StatusOr<Decoder> decoder = describe_decoder(memory_source(c, std::move(tensors)));
      EXPECT_EQ(decoder.ok(), family->*rule != Part::kNever) << decoder.status();
      if (decoder.ok()) continue;
      EXPECT_EQ(decoder.status().code(), absl::StatusCode::kUnimplemented);
      EXPECT_THAT(std::string(decoder.status().message()),
                  AllOf(HasSubstr("layers.0." + names[0]), HasSubstr(std::string(family->architecture))));
    }
  }
}

TEST(Decoder, APartOfOneLayerIsAPartOfAll) {
  TinyCheckpoint tiny;
  tiny.attention_bias = true;
  for (const char* name : {"layers.0.q_bias", "layers.1.k_bias", "layers.0.v_bias", "layers.1.o_bias"}) {
    const absl::Status status = spoiled(tiny, [&](MemoryTensors& all) { all.erase(name); });
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr(std::string("tensor ") + name + " is missing"));
  }
}

TEST(Decoder, WhatNobodyWouldReadIsRefusedByName) {
  for (const Family* family : all_families()) {
    TinyCheckpoint tiny;
    tiny.config = tiny_config(std::string(family->architecture));
    MemoryTensors tensors = memory_tensors(tiny);
    for (const char* name : {"head", "layers.0.up_bias", "layers.1.post_norm", "rope_bias", "unheard\nof"}) {
      tensors[name] = ones(1);
    }
    const absl::Status status = describe_decoder(memory_source(tiny.config, std::move(tensors))).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented);
    EXPECT_THAT(std::string(status.message()),
                HasSubstr("tensors head, layers.0.up_bias, layers.1.post_norm, rope_bias and 1 more are not used by "
                          "models of architecture " +
                          std::string(family->architecture)));
  }
}

TEST(Decoder, AWindowCountsOnlyInFamiliesThatHaveOne) {
  for (const Family* family : all_families()) {
    TinyCheckpoint tiny;
    tiny.config = tiny_config(std::string(family->architecture));
    tiny.config.sliding_window = 7;
    EXPECT_EQ(describe_decoder(tiny_source(tiny))->config.sliding_window, family->sliding_window ? 7 : 0);
  }
}

TEST(Decoder, AnUnknownArchitectureIsRefusedWithTheKnownOnes) {
  const absl::Status status = with_config([](ModelConfig& config) { config.architecture = "gemma3"; });
  EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(std::string(status.message()), HasSubstr("\"gemma3\""));
  for (const Family* family : all_families()) {
    EXPECT_THAT(std::string(status.message()), HasSubstr(std::string(family->architecture)));
  }
}

TEST(Decoder, AMissingTensorIsNamedWithTheShapeItShouldHave) {
  for (const Family* family : all_families()) {
    TinyCheckpoint tiny;
    tiny.config = tiny_config(std::string(family->architecture));
    tiny.config.tied_head = false;
    for (const TinyTensor& tensor : tiny_tensors(tiny)) {
      const absl::Status status = spoiled(tiny, [&](MemoryTensors& all) { all.erase(tensor.name); });
      EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << tensor.name;
      const std::string shape = "[" + std::to_string(tensor.rows) + ", " + std::to_string(tensor.cols) + "]";
      EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr("tensor " + tensor.name + " "), HasSubstr(shape)));
    }
  }
}

TEST(Decoder, AWrongShapeIsNamedWithTheOneThatWasExpected) {
  const absl::Status status = spoiled({}, [](MemoryTensors& all) {
    MemoryTensor& k = all["layers.1.k"];
    k.rows += 16;
    k.values.resize(static_cast<size_t>(k.rows * k.cols));
  });
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("layers.1.k"), HasSubstr("[48, 64]"), HasSubstr("[32, 64]")));
}

TEST(Decoder, ATiedHeadNeedsNoTensorAndAnUntiedOneDoes) {
  EXPECT_TRUE(describe_decoder(tiny_source()).ok());
  const absl::Status status = with_config([](ModelConfig& config) { config.tied_head = false; });
  EXPECT_THAT(std::string(status.message()), HasSubstr("tensor head is missing"));
}

TEST(Decoder, SizesThatNoKernelTakesAreRefused) {
  EXPECT_THAT(std::string(with_config([](ModelConfig& c) { c.kv_heads = 3; }).message()),
              HasSubstr("4 heads are no multiple of 3"));
  EXPECT_THAT(std::string(with_config([](ModelConfig& c) { c.head_dim = 15; }).message()), HasSubstr("head size 15"));
  EXPECT_THAT(std::string(with_config([](ModelConfig& c) { c.head_dim = 258; }).message()), HasSubstr("head size 258"));
  EXPECT_THAT(std::string(with_config([](ModelConfig& c) { c.heads = 65, c.kv_heads = 1; }).message()),
              HasSubstr("more than 64 heads"));
  for (int64_t ModelConfig::*size :
       {&ModelConfig::layers, &ModelConfig::dim, &ModelConfig::heads, &ModelConfig::kv_heads, &ModelConfig::head_dim,
        &ModelConfig::ffn, &ModelConfig::vocabulary, &ModelConfig::context}) {
    EXPECT_EQ(with_config([&](ModelConfig& c) { c.*size = 0; }).code(), absl::StatusCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace halftone
