#include "server/architecture/expected_tensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "tests/support/checkpoint_writer.h"

namespace halftone {
namespace {

TinyCheckpoint tiny_of(const Family& family) {
  TinyCheckpoint tiny;
  tiny.config = tiny_config(std::string(family.name));
  return tiny;
}

std::map<std::string, ExpectedTensor> table_of(const Family& family, const ModelSpec& spec) {
  std::map<std::string, ExpectedTensor> table;
  for (const ExpectedTensor& expected : expected_tensors(family, spec)) {
    EXPECT_TRUE(table.emplace(expected.name, expected).second) << expected.name << " is listed twice";
  }
  return table;
}

TEST(ExpectedTensors, AreThoseOfATinyCheckpointOfEachFamily) {
  for (const Family* family : all_families()) {
    SCOPED_TRACE(std::string(family->name));
    EXPECT_FALSE(family->models.empty());
    TinyCheckpoint tiny = tiny_of(*family);
    tiny.config.tied_head = false;
    std::map<std::string, ExpectedTensor> table = table_of(*family, tiny_spec(tiny));
    for (const TinyTensor& tensor : tiny_tensors(tiny)) {
      ASSERT_TRUE(table.contains(tensor.name)) << tensor.name;
      const ExpectedTensor& expected = table.at(tensor.name);
      EXPECT_EQ(expected.rows, tensor.rows) << tensor.name;
      EXPECT_EQ(expected.cols, tensor.cols) << tensor.name;
      EXPECT_EQ(expected.vector, tensor.vector) << tensor.name;
      EXPECT_EQ(expected.gguf, gguf_tensor_name(tensor.name));
      const std::string huggingface = huggingface_tensor_name(tensor.name, tiny.config.architecture);
      EXPECT_EQ((huggingface.starts_with("model.") ? "model." : "") + expected.huggingface, huggingface);
      table.erase(tensor.name);
    }
    for (const auto& [name, expected] : table) EXPECT_FALSE(expected.required) << name;
  }
}

TEST(ExpectedTensors, NoTwoHaveOneNameInAFile) {
  for (const Family* family : all_families()) {
    std::set<std::string> names;
    for (const ExpectedTensor& expected : expected_tensors(*family, tiny_spec(tiny_of(*family)))) {
      EXPECT_TRUE(names.insert(expected.gguf).second || expected.gguf_stacked > 0) << expected.gguf;
      if (expected.huggingface.empty()) continue;
      EXPECT_TRUE(names.insert(expected.huggingface).second) << expected.huggingface;
    }
  }
}

TEST(ExpectedTensors, LayersMayDiffer) {
  ModelSpec spec = tiny_spec({});
  spec.layers[1].heads = 2;
  spec.layers[1].kv_heads = 1;
  spec.layers[1].ffn = 40;
  const std::map<std::string, ExpectedTensor> table = table_of(*find_family("llama"), spec);
  EXPECT_EQ(table.at("layers.0.q").rows, 64);
  EXPECT_EQ(table.at("layers.1.q").rows, 32);
  EXPECT_EQ(table.at("layers.1.v").rows, 16);
  EXPECT_EQ(table.at("layers.1.o").cols, 32);
  EXPECT_EQ(table.at("layers.1.down").cols, 40);
}

TEST(Family, APartIsInEveryLayerOrInNone) {
  for (const Family* family : all_families()) {
    SCOPED_TRACE(std::string(family->name));
    TinyCheckpoint tiny = tiny_of(*family);
    ModelSpec all = tiny_spec(tiny);
    for (LayerSpec& layer : all.layers) layer.qkv_bias = layer.o_bias = layer.qk_norm = true;
    ModelSpec none = all;
    drop_absent_parts(
        *family, [](TensorPart part) { return part == TensorPart::kKBias; }, all);
    drop_absent_parts(
        *family, [](TensorPart) { return false; }, none);
    for (size_t i = 0; i < all.layers.size(); ++i) {
      EXPECT_TRUE(all.layers[i].qkv_bias);
      EXPECT_EQ(none.layers[i].qkv_bias, family->qkv_bias != Part::kMay);
      EXPECT_EQ(none.layers[i].o_bias, family->o_bias != Part::kMay);
      EXPECT_EQ(none.layers[i].qk_norm, family->qk_norm != Part::kMay);
    }
  }
}

TEST(Family, IsFoundByEachOfItsNamesAndAnUnknownOneIsToldTheKnownOnes) {
  for (const Family* family : all_families()) {
    EXPECT_EQ(find_family(family->name), family);
    EXPECT_EQ(find_huggingface_family(family->huggingface_type), family);
    EXPECT_EQ(find_huggingface_family(family->huggingface_class), family);
    EXPECT_THAT(std::string(unknown_family("m.gguf", "mamba").message()),
                testing::AllOf(testing::HasSubstr("m.gguf: architecture \"mamba\" is not known"),
                               testing::HasSubstr(std::string(family->name))));
  }
  EXPECT_EQ(find_family("mamba"), nullptr);
}

}  // namespace
}  // namespace halftone
