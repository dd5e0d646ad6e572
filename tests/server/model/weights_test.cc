// What loading makes of a checkpoint: which bytes, whose, how exact, under which names. All sizes by hand.
#include "server/model/weights.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <map>

#include "kernels/cpu/cpu_device.h"
#include "kernels/weights/weights.h"
#include "tests/server/model/memory_source.h"
#include "tests/support/checkpoint_writer.h"

namespace halftone {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// Of the tiny checkpoint: 2 layers of q, o [64, 64], k, v [32, 64], gate, up [96, 64], down [64, 96].
constexpr uint64_t kBody = 2 * (2 * 64 * 64 + 2 * 32 * 64 + 3 * 96 * 64);
constexpr uint64_t kEmbedding = 320 * 64;
constexpr uint64_t kVectorBytes = (64 + 2 * 2 * 64) * 4;  // norms
constexpr uint64_t kRows = 2 * (2 * 64 + 2 * 32 + 2 * 96 + 64);
constexpr uint64_t kScalesW8 = kRows * 2;                                    // one for each output
constexpr uint64_t kScalesW4 = 2 * (2 * 64 + 2 * 32 + 2 * 96 + 64 * 3) * 4;  // and minimums; down in groups of 32
constexpr uint64_t kBodyW4 = kBody / 2 + kScalesW4;
constexpr uint64_t kEmbeddingW8 = kEmbedding + 320 * 2;
constexpr double kValues = kBody + kEmbedding;

struct Loaded {
  Ledger ledger;
  std::unique_ptr<Device> device = make_cpu_device({.threads = 1, .isa = ""}, ledger);
  std::unique_ptr<Weights> weights;
  absl::Status status;

  Loaded(const ModelSource& source, const std::string& modes, int threads = 1,
         const std::function<void(double)>& progress = {}) {
    auto loaded = Weights::load(source, *parse_modes(modes), *device, threads, progress);
    status = loaded.status();
    if (loaded.ok()) weights = *std::move(loaded);
  }
};

// What the ledger holds, without the entries that hold nothing.
std::map<std::string, uint64_t> names(const Ledger& ledger) {
  std::map<std::string, uint64_t> out;
  for (const MemoryEntry& e : ledger.entries()) {
    if (e.bytes > 0) out[e.tag.owner + "/" + memory_category_name(e.tag.category)] = e.bytes;
  }
  return out;
}

std::vector<float> unpacked(const PackedMatrix& m) {
  std::vector<float> out(static_cast<size_t>(m.shape.rows * m.shape.cols));
  m.format->unpack_rows(m, 0, m.shape.rows, out.data());
  return out;
}

std::vector<float> values_of(const ModelSource& source, const std::string& name) {
  const SourceTensor* tensor = source.find(name);
  std::vector<float> out(static_cast<size_t>(tensor->rows() * tensor->cols()));
  EXPECT_TRUE(tensor->read_rows(0, tensor->rows(), out).ok());
  return out;
}

ModelSource gguf_source(const TestDirectory& directory, const std::string& body) {
  TinyCheckpoint tiny;
  tiny.body_type = body;
  tiny.embedding_type = "Q8_0";
  write_tiny_gguf(directory.file(body + ".gguf"), tiny);
  absl::StatusOr<ModelSource> source = open_model(directory.file(body + ".gguf"));
  EXPECT_TRUE(source.ok()) << source.status();
  return *std::move(source);
}

TEST(Weights, BytesOfOneModeAreItsOwn) {
  const struct {
    const char* mode;
    uint64_t body, embedding;
    double bits;
  } cases[] = {{"f32", kBody * 4, kEmbedding * 4, 32},
               {"bf16", kBody * 2, kEmbedding * 2, 16},
               {"w8a16", kBody + kScalesW8, kEmbeddingW8, 8 * (kBody + kScalesW8 + kEmbeddingW8) / kValues},
               {"w4a8", kBodyW4, kEmbeddingW8, 8 * (kBodyW4 + kEmbeddingW8) / kValues},
               {"w4g32a8t", kBody / 2 + kBody / 32 * 4, kEmbeddingW8,
                8 * (kBody / 2 + kBody / 32 * 4 + kEmbeddingW8) / kValues}};
  for (const auto& expected : cases) {
    const Loaded loaded(tiny_source(), expected.mode);
    ASSERT_TRUE(loaded.status.ok()) << loaded.status;
    const ModeWeights& mode = loaded.weights->mode(0);
    EXPECT_EQ(mode.own_bytes, expected.body + expected.embedding) << expected.mode;
    EXPECT_EQ(mode.shared_bytes, kVectorBytes);
    EXPECT_EQ(mode.body_bytes, expected.body + kVectorBytes);
    EXPECT_EQ(mode.head_bytes, expected.embedding);
    EXPECT_EQ(mode.body_values, static_cast<int64_t>(kBody));
    EXPECT_EQ(mode.head_values, static_cast<int64_t>(kEmbedding));
    EXPECT_DOUBLE_EQ(mode.bits_per_weight, expected.bits) << expected.mode;
    EXPECT_EQ(loaded.ledger.total(), expected.body + expected.embedding + kVectorBytes);
  }
}

TEST(Weights, ModesThatDifferInTheirPagesAloneShareEverything) {
  const Loaded loaded(tiny_source(), "w4a16,w4a16+kv8");
  for (size_t i : {0u, 1u}) {
    EXPECT_EQ(loaded.weights->mode(i).own_bytes, 0u);
    EXPECT_EQ(loaded.weights->mode(i).shared_bytes, kBodyW4 + kEmbeddingW8 + kVectorBytes);
  }
  EXPECT_EQ(loaded.weights->mode(0).head, loaded.weights->mode(1).head);
  EXPECT_EQ(loaded.weights->mode(0).layers[1].matrix(TensorPart::kDown),
            loaded.weights->mode(1).layers[1].matrix(TensorPart::kDown));
  EXPECT_EQ(loaded.ledger.total(), kBodyW4 + kEmbeddingW8 + kVectorBytes) << "and hold it once";
}

TEST(Weights, ModesOfOneEmbeddingShareThat) {
  const Loaded loaded(tiny_source(), "w8a16,w4a16");
  EXPECT_EQ(loaded.weights->mode(0).own_bytes, kBody + kScalesW8);
  EXPECT_EQ(loaded.weights->mode(1).own_bytes, kBodyW4);
  for (size_t i : {0u, 1u}) EXPECT_EQ(loaded.weights->mode(i).shared_bytes, kEmbeddingW8 + kVectorBytes);
  EXPECT_EQ(loaded.weights->mode(0).embedding, loaded.weights->mode(1).embedding);
  EXPECT_NE(loaded.weights->mode(0).layers[0].matrix(TensorPart::kQ),
            loaded.weights->mode(1).layers[0].matrix(TensorPart::kQ));
}

TEST(Weights, EveryByteHasAName) {
  const Loaded loaded(tiny_source(), "bf16,w8a16,w4a16");
  const std::map<std::string, uint64_t> expected = {{"bf16/weights", (kBody + kEmbedding) * 2},
                                                    {"w8a16/weights", kBody},
                                                    {"w8a16/weight_scales", kScalesW8},
                                                    {"w4a16/weights", kBody / 2},
                                                    {"w4a16/weight_scales", kScalesW4},
                                                    {"w8/weights", kEmbedding},
                                                    {"w8/weight_scales", 320 * 2},
                                                    {"shared/weights", kVectorBytes}};
  EXPECT_EQ(names(loaded.ledger), expected);
}

TEST(Weights, NothingIsLeftInTheLedgerAfterwards) {
  Ledger ledger;
  const std::unique_ptr<Device> device = make_cpu_device({.threads = 1, .isa = ""}, ledger);
  const ModelSource source = tiny_source();
  auto weights = Weights::load(source, *parse_modes("w4a16,f32"), *device, 2, {});
  ASSERT_TRUE(weights.ok());
  EXPECT_GT(ledger.total(), 0u);
  weights->reset();
  EXPECT_EQ(ledger.total(), 0u);
}

TEST(Weights, RowsAndGroupsThatDoNotFillABlockAreCountedWithTheirPadding) {
  TinyCheckpoint tiny;
  tiny.config.vocabulary = 321;
  tiny.config.ffn = 40;  // down [64, 40]: two groups, the second of 8
  const Loaded loaded(tiny_source(tiny), "w4g32a16,bf16");
  const ModeWeights& w4 = loaded.weights->mode(0);
  EXPECT_EQ(w4.head_bytes, 336u * 64 + 336 * 2) << "21 blocks of 16 rows";
  const uint64_t attention = 2 * 64 * 64 + 2 * 32 * 64;
  const uint64_t gate_up = 2 * (48 * 64 / 2 + 48 * 2 * 4), down = 64 * 40 / 2 + 64 * 2 * 4;
  EXPECT_EQ(w4.body_bytes, 2 * (attention / 2 + attention / 8 + gate_up + down) + kVectorBytes);
  EXPECT_EQ(w4.body_values, static_cast<int64_t>(2 * (attention + 3 * 40 * 64)));
  EXPECT_EQ(loaded.weights->mode(1).head_bytes, 336u * 64 * 2);
}

TEST(Weights, RowsThatNoGroupDividesAreRefusedByTheirShape) {
  TinyCheckpoint tiny;
  tiny.config.ffn = 40;
  const Loaded loaded(tiny_source(tiny), "w4a16");
  EXPECT_EQ(loaded.status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(loaded.status.message()),
              AllOf(HasSubstr("layers.0.down [64, 40]"), HasSubstr("w4"), HasSubstr("w4g32 takes it")));
}

TEST(Weights, AnUntiedHeadIsAMatrixOfItsOwn) {
  TinyCheckpoint tiny;
  tiny.config.tied_head = false;
  const Loaded loaded(tiny_source(tiny), "bf16");
  const ModeWeights& mode = loaded.weights->mode(0);
  EXPECT_NE(mode.head, mode.embedding);
  EXPECT_EQ(mode.own_bytes, (kBody + 2 * kEmbedding) * 2);
  EXPECT_EQ(mode.head_bytes, kEmbedding * 2);
  EXPECT_EQ(mode.body_bytes, kBody * 2 + kVectorBytes) << "the embedding is looked up, not multiplied";
  EXPECT_NE(unpacked(*mode.head), unpacked(*mode.embedding));
  const Loaded tied(tiny_source(), "bf16");
  EXPECT_EQ(tied.weights->mode(0).head, tied.weights->mode(0).embedding);
}

TEST(Weights, CodesOfTheFileAreTakenOverExactly) {
  TestDirectory directory;
  const struct {
    const char* body;
    const char* mode;
    double bits;
  } cases[] = {{"Q4_1", "w4a16", (kBody * 5 + kEmbedding * 8.5) / (kBody + kEmbedding)},
               {"Q4_0", "w4a16", (kBody * 4.5 + kEmbedding * 8.5) / (kBody + kEmbedding)},
               {"Q8_0", "w8a16", 8.5}};
  for (const auto& expected : cases) {
    const ModelSource source = gguf_source(directory, expected.body);
    const Loaded loaded(source, expected.mode);
    ASSERT_TRUE(loaded.status.ok()) << loaded.status;
    const ModeWeights& mode = loaded.weights->mode(0);
    EXPECT_TRUE(mode.exact) << expected.body;
    EXPECT_DOUBLE_EQ(mode.bits_per_weight, expected.bits) << expected.body;
    EXPECT_EQ(unpacked(*mode.head), values_of(source, "embedding"));
    for (size_t layer : {0u, 1u}) {
      const std::string at = "layers." + std::to_string(layer) + ".";
      EXPECT_EQ(unpacked(*mode.layers[layer].matrix(TensorPart::kQ)), values_of(source, at + "q")) << expected.body;
      EXPECT_EQ(unpacked(*mode.layers[layer].matrix(TensorPart::kDown)), values_of(source, at + "down"))
          << expected.body;
    }
  }
}

TEST(Weights, SayWhetherTheyHoldTheSourcesOwnValues) {
  auto exact = [](const ModelSource& source, const std::string& mode) {
    const Loaded loaded(source, mode);
    EXPECT_TRUE(loaded.status.ok()) << loaded.status;
    return loaded.weights->mode(0).exact;
  };
  EXPECT_TRUE(exact(tiny_source(), "f32"));
  for (const char* mode : {"bf16", "w8a16", "w4a16"}) EXPECT_FALSE(exact(tiny_source(), mode)) << mode;

  TestDirectory directory;
  TinyCheckpoint tiny;
  tiny.body_type = tiny.embedding_type = "BF16";
  write_tiny_huggingface(directory.file("bf16"), tiny);
  const absl::StatusOr<ModelSource> bf16 = open_model(directory.file("bf16"));
  ASSERT_TRUE(bf16.ok()) << bf16.status();
  for (const char* mode : {"f32", "bf16"}) EXPECT_TRUE(exact(*bf16, mode)) << mode;
  EXPECT_FALSE(exact(*bf16, "w4a16"));

  const ModelSource q4 = gguf_source(directory, "Q4_1");
  for (const char* mode : {"f32", "w4a16"}) EXPECT_TRUE(exact(q4, mode)) << mode;
  for (const char* mode : {"bf16", "w8a16"}) EXPECT_FALSE(exact(q4, mode)) << mode;
}

TEST(Weights, OneMatrixThatHadToBeRoundedMakesAModeRequantized) {
  TestDirectory directory;
  TinyCheckpoint tiny;
  tiny.body_type = "Q4_1";  // and an embedding of F32, which w8 rounds
  write_tiny_gguf(directory.file("mixed.gguf"), tiny);
  const absl::StatusOr<ModelSource> source = open_model(directory.file("mixed.gguf"));
  ASSERT_TRUE(source.ok());
  EXPECT_FALSE(Loaded(*source, "w4a16").weights->mode(0).exact);
}

TEST(Weights, ThreadsDoNotChangeAByte) {
  TinyCheckpoint tiny;
  tiny.config.vocabulary = 700;
  const ModelSource source = tiny_source(tiny);
  const Loaded one(source, "w4a16,bf16", 1), three(source, "w4a16,bf16", 3);
  for (size_t mode : {0u, 1u}) {
    const PackedMatrix &a = *one.weights->mode(mode).head, &b = *three.weights->mode(mode).head;
    const PackedBytes bytes = a.format->bytes(a.shape);
    EXPECT_EQ(std::memcmp(a.codes, b.codes, bytes.codes), 0);
    if (bytes.scales > 0) {
      EXPECT_EQ(std::memcmp(a.scales, b.scales, bytes.scales), 0);
    }
  }
}

TEST(Weights, VectorsAreReadAsTheyAre) {
  TinyCheckpoint tiny;
  tiny.config = tiny_config("qwen2");
  const ModelSource source = tiny_source(tiny);
  const Loaded loaded(source, "w4a16");
  const LayerWeights& layer = loaded.weights->mode(0).layers[1];
  auto same = [&](const float* vector, const std::string& name) {
    const std::vector<float> expected = values_of(source, name);
    return vector != nullptr && std::equal(expected.begin(), expected.end(), vector);
  };
  EXPECT_TRUE(same(layer.vector(TensorPart::kAttentionNorm), "layers.1.attention_norm"));
  EXPECT_TRUE(same(layer.vector(TensorPart::kMlpNorm), "layers.1.mlp_norm"));
  EXPECT_TRUE(same(layer.vector(TensorPart::kQBias), "layers.1.q_bias"));
  EXPECT_TRUE(same(layer.vector(TensorPart::kVBias), "layers.1.v_bias"));
  EXPECT_TRUE(same(loaded.weights->mode(0).final_norm, "final_norm"));
  EXPECT_EQ(layer.vector(TensorPart::kQNorm), nullptr);
  EXPECT_EQ(Loaded(tiny_source(), "f32").weights->mode(0).layers[0].vector(TensorPart::kQBias), nullptr);
}

TEST(Weights, ProgressGoesUpToOne) {
  std::vector<double> heard;
  const Loaded loaded(tiny_source(), "f32", 1, [&](double fraction) { heard.push_back(fraction); });
  ASSERT_FALSE(heard.empty());
  EXPECT_TRUE(std::is_sorted(heard.begin(), heard.end()));
  EXPECT_EQ(heard.back(), 1);
}

TEST(Weights, ATensorThatCannotBeReadEndsTheLoading) {
  for (const char* name : {"layers.1.up", "embedding", "layers.0.mlp_norm"}) {
    MemoryTensors tensors = memory_tensors({});
    tensors[name].readable = false;
    const Loaded loaded(memory_source(tiny_config(), std::move(tensors)), "w4a16", 3);
    EXPECT_EQ(loaded.status.message(), "unreadable") << name;
    EXPECT_EQ(loaded.ledger.total(), 0u) << "and gives everything back";
  }
}

TEST(Weights, AScaleThatIsNoHalfIsRefusedByTheTensorsName) {
  MemoryTensors tensors = memory_tensors({});
  MemoryTensor& up = tensors["layers.1.up"];
  up.type = "Q4_1";
  up.grid = AffineGrid{4, 32, AffineGrid::Offset::kMinimum};
  up.groups.codes.assign(96 * 64, 3);
  up.groups.scale.assign(96 * 2, 0.5f);
  up.groups.minimum.assign(96 * 2, -1);
  up.groups.scale[150] = 1e9f;  // row 75
  const Loaded loaded(memory_source(tiny_config(), std::move(tensors)), "w4a16");
  EXPECT_EQ(loaded.status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(loaded.status.message()),
              AllOf(HasSubstr("layers.1.up"), HasSubstr("Q4_1"), HasSubstr("rows from 64 on")));
}

}  // namespace
}  // namespace halftone
