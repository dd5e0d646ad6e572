// Recipes that run: mixed formats, dropped layers, and that a recipe says no more than it says.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <fstream>

#include "kernels/cpu/cpu_device.h"
#include "kernels/weights/weights.h"
#include "tests/server/executor/executor_rig.h"
#include "tests/server/model/memory_source.h"
#include "tests/support/checkpoint_writer.h"

namespace halftone {
namespace {

class Recipes : public testing::Test {
 protected:
  // The mode of a recipe of this name with these fields after it.
  std::string mode(const std::string& name, const std::string& fields) {
    std::ofstream(directory_.file(name)) << R"({"name": ")" << name << R"(", )" << fields << "}";
    return "recipe:" + directory_.file(name);
  }
  // All rows of one prompt, in chunks.
  static std::vector<RowResult> run(ExecutorRig& rig, const std::string& id) {
    return rig.run(rig.mode(id), random_tokens(3, 40, rig.executor().vocabulary()), 17);
  }
  static const ModeFacts& facts(ExecutorRig& rig, const std::string& id) {
    return rig.executor().modes()[static_cast<size_t>(rig.mode(id))];
  }

  TestDirectory directory_;
};

TinyCheckpoint three_layers() {
  TinyCheckpoint tiny;
  tiny.config.layers = 3;
  tiny.config.tied_head = false;
  return tiny;
}

TEST_F(Recipes, OneThatNamesTheFormatsOfAUniformModeIsThatModeBitForBit) {
  const std::string rows =
      R"("weights": [{"tensors": ["mlp"], "layers": "0", "format": "w4"}, {"tensors": ["mlp"], "format": "w4"},
                     {"tensors": ["attention"], "layers": "1-2", "format": "w4"},
                     {"tensors": ["attention"], "format": "w4"},
                     {"tensors": ["head", "embedding"], "format": "w8"}], "drop_layers": [])";
  ExecutorRig rig(tiny_source(three_layers()),
                  {.modes = {"w4a16", "w4a8+kv8", mode("plain", rows),
                             mode("narrow", R"("activations": "a8", "kv": "kv8", )" + rows)}});
  expect_same_rows(run(rig, "w4a16"), run(rig, "recipe:plain"), "w4a16 as a recipe");
  expect_same_rows(run(rig, "w4a8+kv8"), run(rig, "recipe:narrow"), "w4a8+kv8 as a recipe");
  EXPECT_EQ(facts(rig, "recipe:plain").own_bytes, 0u) << "equal matrices are there once";
  EXPECT_EQ(facts(rig, "recipe:plain").shared_bytes, facts(rig, "w4a16").shared_bytes);
  EXPECT_EQ(facts(rig, "recipe:plain").bits_per_weight, facts(rig, "w4a16").bits_per_weight);
  EXPECT_EQ(facts(rig, "recipe:narrow").kv_bytes_per_token, facts(rig, "w4a8+kv8").kv_bytes_per_token);
}

// The matrix as the format holds it.
void round_to(const std::string& choice_text, MemoryTensor* tensor) {
  const absl::StatusOr<WeightChoice> choice = parse_weight_choice(choice_text);
  ASSERT_TRUE(choice.ok()) << choice.status();
  const WeightFormat* format = find_weight_format(choice->format);
  const std::optional<PackedShape> shape = format->plan(tensor->rows, tensor->cols, choice->group);
  ASSERT_TRUE(shape.has_value()) << choice_text;
  const PackedBytes bytes = format->bytes(*shape);
  std::vector<std::max_align_t> codes(bytes.codes / sizeof(std::max_align_t) + 8),
      scales(bytes.scales / sizeof(std::max_align_t) + 8);
  const auto aligned = [](std::vector<std::max_align_t>& buffer) {
    return reinterpret_cast<std::byte*>((reinterpret_cast<uintptr_t>(buffer.data()) + 63) & ~uintptr_t{63});
  };
  const PackedMatrix matrix{format, *shape, aligned(codes), aligned(scales)};
  for (int64_t first = 0; first < tensor->rows; first += kPackRows) {
    const int64_t count = std::min(kPackRows, tensor->rows - first);
    WeightRows rows;
    format->quantize(*shape, count, tensor->values.data() + first * tensor->cols, &rows);
    format->pack_rows(matrix, first, rows);
  }
  format->unpack_rows(matrix, 0, tensor->rows, tensor->values.data());
}

TEST_F(Recipes, EveryMatrixIsInTheFormatOfItsFirstRow) {
  const TinyCheckpoint tiny = three_layers();
  ExecutorRig mixed(tiny_source(tiny), {.modes = {mode("mixed", R"("weights": [
      {"tensors": ["attention"], "layers": "1", "format": "bf16"},
      {"tensors": ["attention", "mlp"], "layers": "0-1", "format": "w4g32"},
      {"tensors": ["mlp"], "layers": "2", "format": "w8g32"},
      {"tensors": ["attention"], "format": "w8"},
      {"tensors": ["embedding"], "format": "f32"},
      {"tensors": ["head"], "format": "w4"}])")}});
  MemoryTensors rounded = memory_tensors(tiny);
  for (const char* tensor : {"q", "k", "v", "o"}) {
    round_to("w4g32", &rounded.at(std::string("layers.0.") + tensor));
    round_to("bf16", &rounded.at(std::string("layers.1.") + tensor));
    round_to("w8", &rounded.at(std::string("layers.2.") + tensor));
  }
  for (const char* tensor : {"gate", "up", "down"}) {
    round_to("w4g32", &rounded.at(std::string("layers.0.") + tensor));
    round_to("w4g32", &rounded.at(std::string("layers.1.") + tensor));
    round_to("w8g32", &rounded.at(std::string("layers.2.") + tensor));
  }
  round_to("w4", &rounded.at("head"));
  // With a16 activations a format is nothing but its values: f32 over the rounded values is the same model.
  ExecutorRig plain(memory_source(tiny.config, rounded), {.modes = {"f32"}});
  expect_same_rows(run(plain, "f32"), run(mixed, "recipe:mixed"), "mixed formats");
}

TEST_F(Recipes, ADroppedLayerIsAsIfItHadNeverBeenThere) {
  const TinyCheckpoint tiny = three_layers();
  const std::string rows = R"("weights": [{"tensors": ["embedding", "attention", "mlp", "head"], "format": "f32"}])";
  ExecutorRig rig(tiny_source(tiny),
                  {.modes = {"f32", mode("shorter", rows + R"(, "drop_layers": [1])"), mode("whole", rows)}});
  MemoryTensors tensors = memory_tensors(tiny), kept;
  for (auto& [name, tensor] : tensors) {
    if (name.rfind("layers.1.", 0) == 0) continue;
    const bool last = name.rfind("layers.2.", 0) == 0;
    kept[last ? "layers.1." + name.substr(9) : name] = std::move(tensor);
  }
  TinyCheckpoint two = tiny;
  two.config.layers = 2;
  ExecutorRig expected(memory_source(two.config, kept), {.modes = {"f32"}});
  expect_same_rows(run(expected, "f32"), run(rig, "recipe:shorter"), "without layer 1");
  expect_same_rows(run(rig, "f32"), run(rig, "recipe:whole"), "with every layer");
  EXPECT_EQ(facts(rig, "recipe:shorter").kv_bytes_per_token, facts(expected, "f32").kv_bytes_per_token);
  EXPECT_LT(facts(rig, "recipe:shorter").kv_bytes_per_token, facts(rig, "recipe:whole").kv_bytes_per_token);
}

TEST_F(Recipes, DroppedLayersAndMixedFormatsAnswerTheSameAloneAndBesideOthers) {
  const std::string narrow = mode("narrow", R"("activations": "a8", "kv": "kv8", "weights": [
      {"tensors": ["embedding", "head"], "format": "w8"},
      {"tensors": ["mlp"], "layers": "0-1", "format": "w4g32", "requantize": true},
      {"tensors": ["attention", "mlp"], "format": "w8"}], "drop_layers": [1])");
  ExecutorRig alone(tiny_source(three_layers()), {.modes = {narrow}});
  ExecutorRig beside(tiny_source(three_layers()), {.modes = {"w8a8", "bf16", narrow}});
  const std::vector<int32_t> prompt = random_tokens(5, 20, 320);
  const std::vector<int32_t> expected = alone.greedy(0, prompt, 12);
  const std::vector<int32_t> others = beside.greedy(beside.mode("w8a8"), prompt, 12);
  EXPECT_EQ(beside.greedy(beside.mode("recipe:narrow"), prompt, 12), expected);
  EXPECT_EQ(beside.greedy(beside.mode("w8a8"), prompt, 12), others);
  EXPECT_GT(facts(beside, "recipe:narrow").shared_bytes, 0u) << "w8 matrices are those of w8a8";
  EXPECT_GT(facts(beside, "recipe:narrow").own_bytes, 0u);
}

TEST_F(Recipes, OneThatTheModelCannotFollowIsRefusedByName) {
  const std::string rows = R"("weights": [{"tensors": ["embedding", "attention", "mlp", "head"], "format": "w8"}])";
  const struct {
    std::string fields, says;
  } kWrong[] = {
      {rows + R"(, "drop_layers": [3])", "drops layer 3; the model has layers 0 to 2"},
      {rows + R"(, "drop_layers": [0, 1, 2])", "drops every layer"},
      {R"("weights": [{"tensors": ["embedding", "attention", "head"], "format": "w8"}])", "no row of the recipe"},
  };
  for (const auto& wrong : kWrong) {
    absl::StatusOr<Mode> parsed = parse_mode(mode("wrong", wrong.fields));
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    const ModelSource source = tiny_source(three_layers());
    Ledger ledger;
    const std::unique_ptr<Device> device = make_cpu_device({.threads = 1, .isa = ""}, ledger);
    const auto refused = LocalExecutor::create(source, *device, {.modes = {*parsed}, .kv_bytes = 1 << 20});
    ASSERT_FALSE(refused.ok()) << wrong.says;
    EXPECT_NE(refused.status().message().find(wrong.says), absl::string_view::npos) << refused.status();
    EXPECT_NE(refused.status().message().find("recipe:wrong"), absl::string_view::npos) << refused.status();
  }
}

}  // namespace
}  // namespace halftone
