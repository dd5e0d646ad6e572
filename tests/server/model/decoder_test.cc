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
    EXPECT_EQ(decoder->qkv_bias, family->qkv_bias) << family->architecture;
    EXPECT_EQ(decoder->qk_norm, family->qk_norm) << family->architecture;
    EXPECT_EQ(decoder->config.dim, tiny.config.dim);
    EXPECT_FALSE(family->models.empty());
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
