#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/server/text/checkpoint_tokenizers.h"

namespace halftone {
namespace {

using nlohmann::json;
using testing::ElementsAreArray;

struct Checkpoint {
  std::string name, tokenizer, vectors;
};

void PrintTo(const Checkpoint& checkpoint, std::ostream* out) { *out << checkpoint.name; }

class CheckpointVectors : public testing::TestWithParam<Checkpoint> {};

TEST_P(CheckpointVectors, EveryTextBecomesItsIds) {
  const auto vectors = load_vectors(shared_data("tokenizers/" + GetParam().vectors));
  const Tokenizer* tokenizer = load_tokenizer(shared_data("tokenizers/" + GetParam().tokenizer));
  if (vectors.empty() || !tokenizer) GTEST_SKIP() << "no shared data for " << GetParam().name;
  EXPECT_EQ(vectors.size(), 46u);
  for (const Vector& vector : vectors) {
    EXPECT_THAT(tokenizer->encode(vector.text), ElementsAreArray(vector.ids)) << "text: " << vector.text;
    if (!GetParam().tokenizer.starts_with("qwen")) {  // composition changes its texts
      EXPECT_EQ(tokenizer->decode(vector.ids), vector.text);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Text, CheckpointVectors,
    testing::Values(Checkpoint{"gpt2", "gpt2", "gpt2/ggml-vocab-gpt-2.gguf"},
                    Checkpoint{"llama2", "llama2", "llama2/ggml-vocab-llama-spm.gguf"},
                    Checkpoint{"llama2_gguf", "llama2/ggml-vocab-llama-spm.gguf", "llama2/ggml-vocab-llama-spm.gguf"},
                    Checkpoint{"llama3", "llama3", "llama3/ggml-vocab-llama-bpe.gguf"},
                    Checkpoint{"phi3", "phi3-mini", "phi3-mini/ggml-vocab-phi-3.gguf"},
                    Checkpoint{"phi3_gguf", "phi3-mini/ggml-vocab-phi-3.gguf", "phi3-mini/ggml-vocab-phi-3.gguf"},
                    Checkpoint{"qwen2", "qwen2.5", "qwen2.5/ggml-vocab-qwen2.gguf"}),
    [](const auto& info) { return info.param.name; });

// SmolLM2's own vectors, from both of its files.
class SmolLm : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    const auto text = read_file(shared_data("models/smollm2/tok.json"));
    const std::string path = GetParam() ? default_model_path() : shared_data("tokenizers/smollm");
    if (!path.empty()) tokenizer_ = load_tokenizer(path);
    if (!text || !tokenizer_) GTEST_SKIP() << (GetParam() ? "no default model in the cache" : "no shared data");
    vectors_ = json::parse(*text);
  }
  json vectors_;
  const Tokenizer* tokenizer_ = nullptr;
};

TEST_P(SmolLm, EveryTextBecomesItsIds) {
  ASSERT_EQ(vectors_["cases"].size(), 300u);
  for (const json& one : vectors_["cases"]) {
    const auto text = one["text"].get<std::string>();
    const auto ids = tokenizer_->encode(text, {.parse_special = true});
    EXPECT_THAT(ids, ElementsAreArray(one["ids"].get<std::vector<TokenId>>())) << "text: " << text;
    const auto decoded = one.value("decoded", text);
    EXPECT_EQ(tokenizer_->decode(ids, false), decoded);
    EXPECT_EQ(tokenizer_->decode(ids, true), one.value("decoded_skip_special", decoded));
  }
}

TEST_P(SmolLm, IdsThatNoTextMakesAreDecoded) {
  ASSERT_EQ(vectors_["decode_only"].size(), 40u);
  for (const json& one : vectors_["decode_only"]) {
    const auto ids = one["ids"].get<std::vector<TokenId>>();
    EXPECT_EQ(tokenizer_->decode(ids, false), one["decoded"]);
    EXPECT_EQ(tokenizer_->decode(ids, true), one["decoded_skip_special"]);
  }
}

INSTANTIATE_TEST_SUITE_P(Text, SmolLm, testing::Bool(),
                         [](const auto& info) { return info.param ? "FromGguf" : "FromTokenizerJson"; });

TEST(CheckpointTokenizers, TheSameFromGgufAsFromTokenizerJson) {
  const std::string model = default_model_path();
  const auto gguf = model.empty() ? std::nullopt : load_files(model);
  const auto tokenizer = load_files(shared_data("tokenizers/smollm"));
  if (!gguf || !tokenizer) GTEST_SKIP() << "needs the default model in the cache and the shared data";
  const Vocabulary &a = gguf->vocabulary, &b = tokenizer->vocabulary;
  EXPECT_EQ(a.kind, b.kind);
  EXPECT_EQ(a.pre_tokenizer, b.pre_tokenizer);
  EXPECT_EQ(a.pieces, b.pieces);
  EXPECT_EQ(a.types, b.types);
  EXPECT_EQ(a.merges, b.merges);
  ASSERT_EQ(a.added.size(), b.added.size());
  for (size_t i = 0; i < a.added.size(); ++i) {
    EXPECT_EQ(a.added[i].content, b.added[i].content);
    EXPECT_EQ(a.added[i].id, b.added[i].id);
    EXPECT_EQ(a.added[i].special, b.added[i].special);
  }
}

TEST(CheckpointTokenizers, ScoresAndMergesMakeTheSameTokens) {
  const auto text = read_file(shared_data("text/tinystories_val_first.txt"));
  const auto shakespeare = read_file(shared_data("text/tinyshakespeare.txt"));
  if (!text || !shakespeare) GTEST_SKIP() << "no shared data";
  const std::string sample = text->substr(0, 200000) + shakespeare->substr(0, 200000);
  for (const auto& [folder, file] : {std::pair{"tokenizers/llama2", "tokenizers/llama2/ggml-vocab-llama-spm.gguf"},
                                     {"models/stories260K-hf", "models/stories260K/stories260K.gguf"}}) {
    const Tokenizer *by_merges = load_tokenizer(shared_data(folder)), *by_scores = load_tokenizer(shared_data(file));
    ASSERT_TRUE(by_merges && by_scores);
    EXPECT_EQ(by_merges->encode(sample), by_scores->encode(sample)) << folder;
    EXPECT_EQ(by_scores->decode(by_scores->encode(sample)), sample);
    EXPECT_TRUE(by_merges->adds_bos() && by_scores->adds_bos());
    EXPECT_EQ(by_merges->bos(), by_scores->bos());
    EXPECT_TRUE(by_merges->is_eos(2) && by_scores->is_eos(2));
  }
}

}  // namespace
}  // namespace halftone
