#include "server/source/gguf_model.h"

#include <cmath>
#include <numbers>

#include "tests/server/source/source_testing.h"
#include "tests/support/checkpoint_writer.h"

namespace halftone {
namespace {

using testing::HasSubstr;

class GgufModel : public testing::Test {
 protected:
  absl::StatusOr<ModelSource> open(const GgufBytes& gguf) {
    write_test_file(path_, gguf.bytes());
    return open_model(path_);
  }
  absl::StatusOr<ModelSource> open(const TinyCheckpoint& tiny) { return open(tiny_gguf(tiny)); }

  TestDirectory directory_;
  std::string path_ = directory_.file("model.gguf");
};

TEST_F(GgufModel, EveryFamilyComesBackAsItWasWritten) {
  for (const char* architecture : {"llama", "mistral", "qwen2", "qwen3"}) {
    SCOPED_TRACE(architecture);
    TinyCheckpoint tiny;
    tiny.config = tiny_config(architecture);
    tiny.config.tied_head = std::string(architecture) != "qwen2";
    tiny.config.sliding_window = std::string(architecture) == "mistral" ? 7 : 0;
    absl::StatusOr<ModelSource> source = open(tiny);
    ASSERT_TRUE(source.ok()) << source.status();
    tiny.config.sliding_window = 0;  // GGUF calls a Mistral a llama, which has none
    expect_same_config(tiny_config_of(source->spec), tiny.config);
    EXPECT_EQ(source->spec.context, tiny.config.context);
    EXPECT_EQ(source->format, "gguf/F32");
    EXPECT_EQ(source->bits_per_weight, 32);
    const std::vector<TinyTensor> tensors = tiny_tensors(tiny);
    EXPECT_EQ(source->tensors.size(), tensors.size());
    for (const TinyTensor& tensor : tensors) {
      const SourceTensor* found = source->find(tensor.name);
      ASSERT_NE(found, nullptr) << tensor.name;
      EXPECT_EQ(found->rows(), tensor.rows);
      EXPECT_EQ(found->cols(), tensor.cols);
      EXPECT_EQ(read_all(*found), tensor.values) << tensor.name;
    }
  }
}

TEST_F(GgufModel, QuantizedTensorsGiveTheirCodesRowByRowInRotateHalfOrder) {
  for (const char* type : {"Q4_0", "Q4_1", "Q8_0"}) {
    SCOPED_TRACE(type);
    TinyCheckpoint tiny;
    tiny.body_type = type;
    tiny.embedding_type = "Q8_0";
    absl::StatusOr<ModelSource> source = open(tiny);
    ASSERT_TRUE(source.ok()) << source.status();
    EXPECT_EQ(source->format, std::string("gguf/") + type);
    for (const char* name : {"embedding", "layers.0.q", "layers.1.k", "layers.1.down"}) {
      const SourceTensor& tensor = *source->find(name);
      ASSERT_TRUE(tensor.grid().has_value());
      const std::vector<float> values = read_all(tensor);
      const int64_t first = 3, count = tensor.rows() - 5, groups = tensor.cols() / 32;
      WeightRows buffer;
      ASSERT_TRUE(tensor.read_codes(first, count, buffer).ok());
      EXPECT_EQ(buffer.rows, count);
      EXPECT_EQ(buffer.cols, tensor.cols());
      EXPECT_EQ(buffer.grid, *tensor.grid());
      EXPECT_TRUE(buffer.input_order.empty());
      for (int64_t r = 0; r < count; ++r) {
        for (int64_t c = 0; c < tensor.cols(); ++c) {
          const size_t group = static_cast<size_t>(r * groups + c / 32);
          const float value = buffer.scale[group] * buffer.codes[static_cast<size_t>(r * tensor.cols() + c)] +
                              buffer.minimum[group];
          ASSERT_EQ(value, values[static_cast<size_t>((first + r) * tensor.cols() + c)])
              << name << " " << r << " " << c;
        }
      }
    }
    EXPECT_FALSE(source->find("final_norm")->grid().has_value());
  }
}

TEST_F(GgufModel, QuantizedValuesLieNearTheOnesThatWereWritten) {
  TinyCheckpoint tiny;
  tiny.body_type = "Q8_0";
  absl::StatusOr<ModelSource> source = open(tiny);
  ASSERT_TRUE(source.ok()) << source.status();
  for (const TinyTensor& tensor : tiny_tensors(tiny)) {
    const std::vector<float> values = read_all(*source->find(tensor.name));
    for (size_t i = 0; i < values.size(); ++i)
      ASSERT_NEAR(values[i], tensor.values[i], 0.01) << tensor.name << " " << i;
  }
}

TEST_F(GgufModel, Llama3ScalingIsTheTensorOfFactors) {
  TinyCheckpoint tiny;
  tiny.config.rope_scaling = {RopeScaling::Kind::kLlama3, 8, 1, 4, 64};
  absl::StatusOr<ModelSource> source = open(tiny);
  ASSERT_TRUE(source.ok()) << source.status();
  EXPECT_EQ(source->spec.ropes[0].scaling.kind, RopeScaling::Kind::kNone);
  const SourceTensor* factors = source->find("rope_factors");
  ASSERT_NE(factors, nullptr);
  const std::vector<float> values = read_all(*factors);
  ASSERT_EQ(values.size(), 8u);
  EXPECT_EQ(values.front(), 1.0f) << "short wavelengths stay";
  EXPECT_EQ(values.back(), 8.0f) << "long ones are stretched by the whole factor";
  for (size_t i = 1; i < values.size(); ++i) EXPECT_GE(values[i], values[i - 1]);
}

TEST_F(GgufModel, LinearScalingIsRead) {
  TinyCheckpoint tiny;
  tiny.config.rope_scaling = {RopeScaling::Kind::kLinear, 4};
  absl::StatusOr<ModelSource> source = open(tiny);
  ASSERT_TRUE(source.ok()) << source.status();
  EXPECT_EQ(source->spec.ropes[0].scaling.kind, RopeScaling::Kind::kLinear);
  EXPECT_EQ(source->spec.ropes[0].scaling.factor, 4);
}

TEST_F(GgufModel, AHeadThatRepeatsTheEmbeddingIsTied) {
  TinyCheckpoint tiny;
  GgufBytes gguf = tiny_gguf(tiny);
  const TinyTensor embedding = tiny_tensors(tiny).front();
  const std::string_view bytes(reinterpret_cast<const char*>(embedding.values.data()), embedding.values.size() * 4);
  gguf.tensor("output.weight", {64, 320}, 0, bytes);
  absl::StatusOr<ModelSource> source = open(gguf);
  ASSERT_TRUE(source.ok()) << source.status();
  EXPECT_TRUE(source->spec.tied_head);
  EXPECT_EQ(source->find("head"), nullptr);
}

TEST_F(GgufModel, SamplingAdviceAndVocabularyAreRead) {
  TinyCheckpoint tiny;
  tiny.generation = {0.25f, 0.9f, 1.125f, 40};
  absl::StatusOr<ModelSource> source = open(tiny);
  ASSERT_TRUE(source.ok()) << source.status();
  EXPECT_EQ(source->generation.temperature, 0.25f);
  EXPECT_EQ(source->generation.top_p, 0.9f);
  EXPECT_EQ(source->generation.repetition_penalty, 1.125f);
  EXPECT_EQ(source->generation.top_k, 40);
  EXPECT_EQ(source->vocabulary.pieces, tiny_vocabulary(320).pieces);
  EXPECT_EQ(source->vocabulary.merges, tiny_vocabulary(320).merges);
  EXPECT_EQ(source->vocabulary.eos, std::vector<TokenId>{2});
  EXPECT_EQ(source->chat_template, tiny_chat_template());
  EXPECT_EQ(source->spec.name, "tiny");
}

TEST_F(GgufModel, AdviceThatNoRequestMayFollowIsIgnoredWithAWarning) {
  GgufBytes gguf = tiny_gguf(TinyCheckpoint{});
  gguf.key_text("general.sampling.temp", "hot");
  gguf.key_f32("general.sampling.top_p", 0);
  gguf.key_f32("general.sampling.penalty_repeat", NAN);
  gguf.key_u64("general.sampling.top_k", uint64_t{1} << 40);
  absl::StatusOr<ModelSource> source = open(gguf);
  ASSERT_TRUE(source.ok()) << source.status();
  EXPECT_FALSE(source->generation.temperature || source->generation.top_p || source->generation.top_k ||
               source->generation.repetition_penalty);
  EXPECT_THAT(source->warnings,
              testing::ElementsAre(HasSubstr("general.sampling.temp = something else, expected a number: ignored"),
                                   HasSubstr("general.sampling.top_p = 0, outside (0, 1]: ignored"),
                                   HasSubstr("general.sampling.penalty_repeat = nan, outside (0, 100]: ignored"),
                                   HasSubstr("general.sampling.top_k = 1099511627776, outside")));
}

TEST_F(GgufModel, TheDigestChangesWithOneWeightAndWithNothingElse) {
  TinyCheckpoint tiny;
  absl::StatusOr<ModelSource> first = open(tiny), again = open(tiny);
  tiny.config.rope_theta = 20000;
  absl::StatusOr<ModelSource> turned = open(tiny);
  tiny.config.rope_theta = 10000;
  tiny.seed = 2;
  absl::StatusOr<ModelSource> other = open(tiny);
  EXPECT_EQ(first->digest.size(), 7 + 64u);
  EXPECT_EQ(first->digest.substr(0, 7), "sha256:");
  EXPECT_EQ(first->digest, again->digest);
  EXPECT_NE(first->digest, other->digest);
  EXPECT_NE(first->digest, turned->digest);

  tiny.seed = 1;
  std::string bytes = tiny_gguf(tiny).bytes();
  bytes.back() ^= 1;
  write_test_file(path_, bytes);
  EXPECT_NE(open_model(path_)->digest, first->digest);
}

TEST_F(GgufModel, MappedBytesAreTheFile) {
  absl::StatusOr<ModelSource> source = open(TinyCheckpoint{});
  ASSERT_TRUE(source.ok()) << source.status();
  EXPECT_EQ(source->mapped_bytes, tiny_gguf(TinyCheckpoint{}).bytes().size());
}

TEST_F(GgufModel, AnUnknownFamilyIsNamedWhateverItsTensorsAre) {
  GgufBytes gguf;
  gguf.key_text("general.architecture", "mam\nba");
  gguf.tensor("something.weight", {8}, 0, std::string(32, '\0'));
  gguf.tensor_at("odd.weight", {256}, 13, 0);                 // its type is of no interest
  gguf.tensor_at("far.weight", {256}, 0, uint64_t{1} << 40);  // nor whether it is there
  const absl::Status status = open(gguf).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr(path_ + ": architecture \"mam\\nba\" is not known; known ones: "));
}

TEST_F(GgufModel, NumbersThatAreNoneAreNamedWhenTheyAreRead) {
  TinyCheckpoint tiny;
  tiny.body_type = "Q4_1";
  std::string bytes = tiny_gguf(tiny).bytes();
  // The first block's scale of the last matrix: layers.1.down is the last tensor.
  const size_t last = bytes.size() - 64 * 96 / 32 * 20;
  bytes[last] = 0;
  bytes[last + 1] = 0x7c;  // infinity
  write_test_file(path_, bytes);
  absl::StatusOr<ModelSource> source = open_model(path_);
  ASSERT_TRUE(source.ok()) << source.status();
  const SourceTensor& down = *source->find("layers.1.down");
  std::vector<float> row(96);
  WeightRows buffer;
  for (const absl::Status& status : {down.read_rows(0, 1, row), down.read_codes(0, 1, buffer)}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr(path_ + ": tensor blk.1.ffn_down.weight: "));
    EXPECT_THAT(std::string(status.message()), HasSubstr("0 of row 0 is not finite"));
  }
  EXPECT_TRUE(down.read_rows(1, 1, row).ok());
}

struct BadModel {
  const char* what;
  std::function<void(TinyCheckpoint&)> change;
  std::function<void(GgufBytes&)> spoil;
  const char* expected;
};

TEST_F(GgufModel, WhatDoesNotFitTogetherIsNamed) {
  auto nothing = [](TinyCheckpoint&) {};
  auto well = [](GgufBytes&) {};
  const BadModel cases[] = {
      {"heads", [](TinyCheckpoint& t) { t.config.heads = 3; }, well, "3 heads, expected a multiple of the 2 KV heads"},
      {"odd head", [](TinyCheckpoint& t) { t.config.head_dim = 15; }, well, "head size 15, expected an even number"},
      {"epsilon", [](TinyCheckpoint& t) { t.config.rms_epsilon = NAN; }, well, "rms epsilon = nan"},
      {"theta", [](TinyCheckpoint& t) { t.config.rope_theta = INFINITY; }, well, "rope theta = inf"},
      {"negative theta", [](TinyCheckpoint& t) { t.config.rope_theta = -1; }, well, "rope theta = -1"},
      {"factor",
       [](TinyCheckpoint& t) {
         t.config.rope_scaling = {RopeScaling::Kind::kLinear, 0};
       },
       well, "rope scaling factor = 0"},
      {"context", [](TinyCheckpoint& t) { t.config.context = 0; }, well, "context length = 0"},
      {"factors",
       [](TinyCheckpoint& t) {
         t.config.rope_scaling = {RopeScaling::Kind::kLlama3, -8, 1, 4, 64};
       },
       well, "tensor rope_freqs.weight holds -"},
      {"unknown tensor", nothing, [](GgufBytes& g) { g.tensor("blk.0.ffn_up.bias", {8}, 0, std::string(32, 0)); },
       "tensor blk.0.ffn_up.bias belongs to no llama model that we know"},
      {"unread type", nothing,
       [](GgufBytes& g) {
         g.tensor_at("output.weight", {64, 320}, 13, 0);
       },
       "tensor output.weight is Q5_K, expected one of F32"},
      {"unknown type", nothing,
       [](GgufBytes& g) {
         g.tensor_at("output.weight", {64, 320}, 99, 0);
       },
       "tensor output.weight is type 99"},
      {"layer too many", nothing, [](GgufBytes& g) { g.tensor("blk.2.attn_q.weight", {8}, 0, std::string(32, 0)); },
       "tensor blk.2.attn_q.weight: the model has 2 layers"},
      {"odd spelling", nothing, [](GgufBytes& g) { g.tensor("blk.01.attn_q.weight", {8}, 0, std::string(32, 0)); },
       "tensor blk.01.attn_q.weight belongs to no"},
      {"wrong shape", nothing,
       [](GgufBytes& g) {
         g.tensor("output.weight", {32, 320}, 0, std::string(40960, 1));
       },
       "tensor output.weight is [320, 32], expected [320, 64]"},
      {"wrong vector", nothing, [](GgufBytes& g) { g.tensor("rope_freqs.weight", {9}, 0, std::string(36, 1)); },
       "tensor rope_freqs.weight is [9], expected [8]"},
      {"yarn", nothing, [](GgufBytes& g) { g.key_text("llama.rope.scaling.type", "yarn"); }, "rope scaling \"yarn\""},
      {"no factor", nothing, [](GgufBytes& g) { g.key_text("llama.rope.scaling.type", "linear"); },
       "llama.rope.scaling.factor is missing, expected a number"},
      {"two scalings",
       [](TinyCheckpoint& t) {
         t.config.rope_scaling = {RopeScaling::Kind::kLlama3, 8, 1, 4, 64};
       },
       [](GgufBytes& g) { g.key_f32("llama.rope.scale_linear", 2); }, "and the tensor rope_freqs.weight, expected one"},
      {"a part", nothing, [](GgufBytes& g) { g.key_u32("split.count", 3); },
       "one of 3 parts of a model, expected a name that ends in -00001-of-00003.gguf"},
      {"window", [](TinyCheckpoint& t) { t.config = tiny_config("qwen3"); },
       [](GgufBytes& g) { g.key_text("qwen3.attention.sliding_window", "7"); },
       "qwen3.attention.sliding_window has another type, expected an integer"},
  };
  for (const BadModel& bad : cases) {
    TinyCheckpoint tiny;
    bad.change(tiny);
    GgufBytes gguf = tiny_gguf(tiny);
    bad.spoil(gguf);
    absl::StatusOr<ModelSource> source = open(gguf);
    ASSERT_FALSE(source.ok()) << bad.what;
    EXPECT_THAT(std::string(source.status().message()), HasSubstr(bad.expected)) << bad.what;
    EXPECT_THAT(std::string(source.status().message()), HasSubstr(path_)) << bad.what;
  }
}

TEST_F(GgufModel, WhatIsMissingIsNamed) {
  GgufBytes empty;
  EXPECT_THAT(std::string(open(empty).status().message()), HasSubstr("general.architecture is missing"));
  GgufBytes bare;
  bare.key_text("general.architecture", "llama");
  bare.tensor("token_embd.weight", {4, 4}, 0, std::string(64, '\0'));
  EXPECT_THAT(std::string(open(bare).status().message()),
              HasSubstr("llama.block_count is missing, expected an integer"));

  GgufBytes gguf;
  gguf.key_text("general.architecture", "llama");
  EXPECT_THAT(std::string(open(gguf).status().message()), HasSubstr("tensor token_embd.weight is missing"));
}

TEST_F(GgufModel, FilesThatCannotBeOpenedAreNamed) {
  EXPECT_EQ(open_model(directory_.file("none.gguf")).status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(open_model(directory_.file("none.gguf")).status().message()), HasSubstr("none.gguf"));
  write_test_file(path_, "");
  EXPECT_THAT(std::string(open_model(path_).status().message()), HasSubstr("the file is empty"));
  EXPECT_THAT(std::string(open_model("/dev/null").status().message()), HasSubstr("not a regular file"));
}

}  // namespace
}  // namespace halftone
