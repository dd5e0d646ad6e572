#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "server/source/gguf_vocabulary.h"
#include "server/source/tokenizer_json.h"
#include "tests/server/text/tiny_vocabularies.h"

namespace halftone {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;
using PieceType = Vocabulary::PieceType;

const char kMark[] = "\xe2\x96\x81";
const char kTekken[] =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?)"
    R"([\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+)"
    R"(|\s+(?!\S)|\s+)";

json byte_level_json() {
  return json::parse(R"({
    "added_tokens": [{"id": 5, "content": "<|end|>", "special": true}, {"id": 6, "content": "<t>", "rstrip": true}],
    "normalizer": null,
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false},
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "c": 2, "ab": 3, "abc": 4}, "merges": ["a b", "ab c"]}
  })");
}

json sentence_piece_json() {
  json j = json::parse(R"({
    "added_tokens": [{"id": 0, "content": "<unk>", "special": true}, {"id": 1, "content": "<s>", "special": true}],
    "post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {}}]},
    "model": {"type": "BPE", "unk_token": "<unk>", "byte_fallback": true, "merges": [["a", "b"]],
              "vocab": {"<unk>": 0, "<s>": 1, "<0x41>": 2, "a": 3, "b": 4, "ab": 5}}
  })");
  j["normalizer"] = {{"type", "Sequence"},
                     {"normalizers",
                      {{{"type", "Prepend"}, {"prepend", kMark}},
                       {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", kMark}}}}};
  return j;
}

Vocabulary read(const json& tokenizer, const std::string& config = "") {
  const auto files = read_tokenizer_json(tokenizer.dump(), config);
  EXPECT_TRUE(files.ok()) << files.status();
  return files.ok() ? files->vocabulary : Vocabulary();
}

TEST(TokenizerJson, ReadsAByteLevelVocabulary) {
  const Vocabulary v = read(byte_level_json());
  EXPECT_EQ(v.kind, Vocabulary::Kind::kByteLevelBpe);
  EXPECT_EQ(v.pre_tokenizer, "gpt2");
  EXPECT_THAT(v.pieces, ElementsAre("a", "b", "c", "ab", "abc", "<|end|>", "<t>"));
  EXPECT_THAT(v.merges, ElementsAre(Pair("a", "b"), Pair("ab", "c")));
  EXPECT_TRUE(v.added[0].special && !v.added[1].special && v.added[1].rstrip);
  EXPECT_EQ(v.types[5], PieceType::kControl);
  EXPECT_EQ(v.types[6], PieceType::kUserDefined);
  EXPECT_FALSE(v.add_bos || v.bos || v.nfc_normalize);
  EXPECT_THAT(tokenizer_of(v)->encode("abc<t> a"), ElementsAre(4, 6, 0));
}

TEST(TokenizerJson, ReadsASentencePieceVocabulary) {
  const Vocabulary v = read(sentence_piece_json(), R"({"eos_token": {"content": "<s>"}, "chat_template": "x"})");
  EXPECT_EQ(v.kind, Vocabulary::Kind::kSentencePieceBpe);
  EXPECT_TRUE(v.add_space_prefix && v.byte_fallback && v.add_bos);
  EXPECT_FALSE(v.space_prefix_first_only || v.space_prefix_if_missing);
  EXPECT_EQ(v.bos, 1);
  EXPECT_EQ(v.unknown, 0);
  EXPECT_THAT(v.eos, ElementsAre(1));
  EXPECT_EQ(v.types[2], PieceType::kByte);
  EXPECT_EQ(v.types[0], PieceType::kUnknown);
}

TEST(TokenizerJson, KnowsEveryWayToCutText) {
  json j = byte_level_json();
  j["pre_tokenizer"] = json::parse(R"({"type": "Sequence", "pretokenizers": [
      {"type": "Digits", "individual_digits": true}, {"type": "ByteLevel", "add_prefix_space": false}]})");
  EXPECT_EQ(read(j).pre_tokenizer, "smollm");
  const char* llama3 =
      "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|"
      "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
  j["pre_tokenizer"] = {
      {"type", "Sequence"},
      {"pretokenizers",
       {{{"type", "Split"}, {"pattern", {{"Regex", llama3}}}, {"behavior", "Isolated"}, {"invert", false}},
        {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}}}}};
  EXPECT_EQ(read(j).pre_tokenizer, "llama3");
  json& split = j["pre_tokenizer"]["pretokenizers"][0];
  split["behavior"] = "Removed";  // of what stands between the matches
  EXPECT_NE(read(j).pre_tokenizer, "llama3");
  split["invert"] = true;
  EXPECT_EQ(read(j).pre_tokenizer, "llama3");
  split = {{"type", "Split"}, {"pattern", {{"Regex", kTekken}}}, {"behavior", "Isolated"}, {"invert", false}};
  EXPECT_EQ(read(j).pre_tokenizer, "tekken");
  json digits = j;
  digits["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = "\\p{N}";
  digits["pre_tokenizer"]["pretokenizers"][1]["use_regex"] = true;
  EXPECT_EQ(read(digits).pre_tokenizer, "smollm");
  j["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = "\\w+";
  EXPECT_EQ(Tokenizer::create(read(j)).status().code(), absl::StatusCode::kFailedPrecondition);
  j["normalizer"] = {{"type", "NFC"}};
  EXPECT_TRUE(read(j).nfc_normalize);
}

TEST(TokenizerJson, ReadsMetaspace) {
  json j = sentence_piece_json();
  j["normalizer"] = nullptr;
  j["pre_tokenizer"] = {{"type", "Metaspace"}, {"replacement", kMark}, {"prepend_scheme", "first"}, {"split", false}};
  const Vocabulary v = read(j);
  EXPECT_TRUE(v.add_space_prefix && v.space_prefix_first_only && v.space_prefix_if_missing);
  j["pre_tokenizer"]["prepend_scheme"] = "never";
  EXPECT_FALSE(read(j).add_space_prefix);
}

TEST(TokenizerJson, MergesOfPiecesWithSpacesAreCutByTheVocabulary) {
  json j = byte_level_json();
  j["model"]["vocab"] = {{" ", 0}, {"  ", 1}, {"a", 2}, {"a ", 3}};
  j["model"]["merges"] = {"   ", "a  "};
  EXPECT_THAT(read(j).merges, ElementsAre(Pair(" ", " "), Pair("a", " ")));
}

TEST(TokenizerJson, TheConfigurationDecidesOnBosAndTemplate) {
  const auto files = read_tokenizer_json(sentence_piece_json().dump(),
                                         R"({"add_bos_token": false,
          "chat_template": [{"name": "tool", "template": "t"}, {"name": "default", "template": "d"}]})");
  ASSERT_TRUE(files.ok()) << files.status();
  EXPECT_FALSE(files->vocabulary.add_bos);
  EXPECT_EQ(files->vocabulary.bos, 1);
  EXPECT_EQ(files->chat_template, "d");
}

struct Spoiled {
  const char* name;
  std::function<void(json&)> spoil;
  const char* message;
  absl::StatusCode code = absl::StatusCode::kInvalidArgument;
};
void PrintTo(const Spoiled& spoiled, std::ostream* out) { *out << spoiled.name; }

class SpoiledTokenizerJson : public testing::TestWithParam<Spoiled> {};

TEST_P(SpoiledTokenizerJson, IsRefusedWithAReason) {
  json j = byte_level_json();
  GetParam().spoil(j);
  const auto status = read_tokenizer_json(j.dump(), "").status();
  EXPECT_EQ(status.code(), GetParam().code) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(GetParam().message));
}

constexpr auto kNotOurs = absl::StatusCode::kFailedPrecondition;

INSTANTIATE_TEST_SUITE_P(
    TokenizerJson, SpoiledTokenizerJson,
    testing::Values(
        Spoiled{"NoModel", [](json& j) { j.erase("model"); }, "model is missing"},
        Spoiled{"VocabArray",
                [](json& j) {
                  j["model"]["vocab"] = {1, 2};
                },
                "model.vocab is missing or no object"},
        Spoiled{"HugeId", [](json& j) { j["model"]["vocab"]["x"] = 2000000000; }, "2000000000 is no id from 0 to"},
        Spoiled{"NegativeId", [](json& j) { j["model"]["vocab"]["x"] = -1; }, "-1 is no id"},
        Spoiled{"FractionalId", [](json& j) { j["model"]["vocab"]["x"] = 1.5; }, "1.5 is no id"},
        Spoiled{"TextId", [](json& j) { j["model"]["vocab"]["x"] = "7"; }, "\"7\" is no id"},
        Spoiled{"IdTwice", [](json& j) { j["model"]["vocab"]["x"] = 0; }, "id 0 belongs to"},
        Spoiled{"Merge", [](json& j) { j["model"]["merges"][1] = "abc"; }, "model.merges[1]: \"abc\" is no pair"},
        Spoiled{"MergeType", [](json& j) { j["model"]["merges"][0] = {"a"}; }, "model.merges[0]"},
        Spoiled{"Merges", [](json& j) { j["model"]["merges"] = "a b"; }, "model.merges is missing or no array"},
        Spoiled{"Added", [](json& j) { j["added_tokens"] = 3; }, "added_tokens is no array"},
        Spoiled{"AddedText", [](json& j) { j["added_tokens"][0].erase("content"); }, "needs a content"},
        Spoiled{"AddedId", [](json& j) { j["added_tokens"][0]["id"] = 1000000; }, "needs a content and an id"},
        Spoiled{"Unigram", [](json& j) { j["model"]["type"] = "Unigram"; }, "only \"BPE\"", kNotOurs},
        Spoiled{"Suffix", [](json& j) { j["model"]["end_of_word_suffix"] = "</w>"; }, "end_of_word_suffix", kNotOurs},
        Spoiled{"Normalizer",
                [](json& j) {
                  j["normalizer"] = {{"type", "NFKC"}};
                },
                "normalizer", kNotOurs},
        Spoiled{"Neither", [](json& j) { j["pre_tokenizer"] = nullptr; }, "neither a byte-level nor", kNotOurs}),
    [](const auto& info) { return info.param.name; });

TEST(TokenizerJson, TextThatIsNoJsonIsRefused) {
  for (const char* text : {"", "{", "[]", "null", "{\"model\": \"\xff\"}"}) {
    EXPECT_EQ(read_tokenizer_json(text, "").status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
  EXPECT_EQ(read_tokenizer_json(byte_level_json().dump(), "[").status().code(), absl::StatusCode::kInvalidArgument);
  const auto status = read_tokenizer_json(byte_level_json().dump(), R"({"eos_token": "<gone>"})").status();
  EXPECT_THAT(std::string(status.message()), HasSubstr("eos_token is \"<gone>\""));
}

GgufMetadata byte_level_gguf() {
  GgufMetadata m;
  m.set("tokenizer.ggml.model", std::string("gpt2"));
  m.set("tokenizer.ggml.pre", std::string("smollm"));
  m.set("tokenizer.ggml.tokens", std::vector<std::string>{"<|end|>", "a", "b", "ab"});
  m.set("tokenizer.ggml.token_type", std::vector<int64_t>{3, 1, 1, 1});
  m.set("tokenizer.ggml.merges", std::vector<std::string>{"a b"});
  m.set("tokenizer.ggml.eos_token_id", int64_t{0});
  m.set("tokenizer.ggml.padding_token_id", int64_t{4294967295});
  m.set("tokenizer.chat_template", std::string("{{ x }}"));
  return m;
}

TEST(GgufVocabulary, ReadsAByteLevelVocabulary) {
  const auto files = read_gguf_vocabulary(byte_level_gguf());
  ASSERT_TRUE(files.ok()) << files.status();
  const Vocabulary& v = files->vocabulary;
  EXPECT_EQ(v.pre_tokenizer, "smollm");
  EXPECT_THAT(v.eos, ElementsAre(0));
  EXPECT_FALSE(v.pad || v.bos || v.add_bos);
  EXPECT_EQ(files->chat_template, "{{ x }}");
  EXPECT_THAT(tokenizer_of(v)->encode("ab<|end|>", {.parse_special = true}), ElementsAre(3, 0));
}

TEST(GgufVocabulary, TheNameOfTheCutSaysWhetherWordsAreTakenWhole) {
  GgufMetadata m = byte_level_gguf();
  for (const auto& [name, whole] : {std::pair{"tekken", true}, {"llama-bpe", true}, {"smaug-bpe", false}}) {
    m.set("tokenizer.ggml.pre", std::string(name));
    const auto files = read_gguf_vocabulary(m);
    ASSERT_TRUE(files.ok()) << name << files.status();
    EXPECT_EQ(files->vocabulary.ignore_merges, whole) << name;
    EXPECT_EQ(files->vocabulary.add_bos, whole) << name;
  }
}

TEST(GgufVocabulary, ReadsASentencePieceVocabulary) {
  GgufMetadata m;
  m.set("tokenizer.ggml.model", std::string("llama"));
  m.set("tokenizer.ggml.tokens", std::vector<std::string>{"<unk>", "<s>", "<0x41>", kMark, "a"});
  m.set("tokenizer.ggml.token_type", std::vector<int64_t>{2, 3, 6, 1, 1});
  m.set("tokenizer.ggml.scores", std::vector<double>{0, 0, 0, -1, -2});
  m.set("tokenizer.ggml.bos_token_id", int64_t{1});
  const auto files = read_gguf_vocabulary(m);
  ASSERT_TRUE(files.ok()) << files.status();
  EXPECT_TRUE(files->vocabulary.add_bos && files->vocabulary.add_space_prefix && files->vocabulary.byte_fallback);
  EXPECT_THAT(tokenizer_of(files->vocabulary)->encode("aA", {.add_special = true}), ElementsAre(1, 3, 4, 2));
  m.set("tokenizer.ggml.add_bos_token", false);
  m.set("tokenizer.ggml.add_space_prefix", false);
  EXPECT_THAT(tokenizer_of(read_gguf_vocabulary(m)->vocabulary)->encode("a", {.add_special = true}), ElementsAre(4));
}

TEST(GgufVocabulary, WrongMetadataIsRefusedWithTheKey) {
  const auto refusal = [](const char* key, GgufMetadata::Value value) {
    GgufMetadata m = byte_level_gguf();
    m.set(key, std::move(value));
    const auto status = read_gguf_vocabulary(m).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << key << " " << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(key));
  };
  refusal("tokenizer.ggml.model", int64_t{3});
  refusal("tokenizer.ggml.tokens", std::vector<std::string>{});
  refusal("tokenizer.ggml.tokens", std::vector<int64_t>{1, 2});
  refusal("tokenizer.ggml.token_type", std::vector<int64_t>{3, 1});
  refusal("tokenizer.ggml.token_type", std::vector<int64_t>{3, 1, 1, 9});
  refusal("tokenizer.ggml.merges", std::vector<std::string>{"ab"});
  refusal("tokenizer.ggml.merges", std::vector<std::string>{""});
  refusal("tokenizer.ggml.merges", std::vector<std::string>{"a "});
  refusal("tokenizer.ggml.eos_token_id", int64_t{4});
  refusal("tokenizer.ggml.bos_token_id", std::string("1"));
  GgufMetadata m = byte_level_gguf();
  m.set("tokenizer.ggml.model", std::string("bert"));
  EXPECT_EQ(read_gguf_vocabulary(m).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(read_gguf_vocabulary(GgufMetadata()).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace halftone
