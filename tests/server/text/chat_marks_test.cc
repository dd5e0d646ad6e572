// A template's marks of turns and roles are special tokens whatever the checkpoint's file calls them: what users write
// does not become one, an answer does not show one, and the end of a turn ends it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "server/source/model_source.h"
#include "server/text/chat_template.h"
#include "tests/server/text/checkpoint_tokenizers.h"
#include "tests/server/text/example_templates.h"
#include "tests/server/text/rendered_chat.h"
#include "tests/server/text/tiny_vocabularies.h"
#include "tests/support/checkpoint_writer.h"

namespace halftone {
namespace {

using PieceType = Vocabulary::PieceType;

enum class Called { kControl, kUserDefined, kNormal, kUnused, kWithoutTypes };
constexpr Called kAllCalls[] = {Called::kControl, Called::kUserDefined, Called::kNormal, Called::kUnused,
                                Called::kWithoutTypes};

struct Family {
  const char* name;
  const char* jinja;
  std::vector<std::string> marks;
  std::string end, eos;
};

const std::vector<Family>& families() {
  static const std::vector<Family> all = {
      {"chatml", kPlain, {"<|im_start|>", "<|im_end|>"}, "<|im_end|>", "<|endoftext|>"},
      {"llama2", kLlama2, {"[INST]", "[/INST]", "<<SYS>>", "<</SYS>>"}, "</s>", "</s>"},
      {"llama3", kLlama3, {"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"}, "<|eot_id|>", "<|end_of_text|>"},
      {"mistral", kMistral, {"[INST]", "[/INST]", "[TOOL_RESULTS]", "[/TOOL_RESULTS]"}, "</s>", "</s>"},
      {"zephyr", kZephyr, {"<|system|>", "<|user|>", "<|assistant|>"}, "</s>", "</s>"}};
  return all;
}

std::vector<std::string> tokens_of(const Family& family) {
  std::vector<std::string> tokens = family.marks;
  tokens.push_back(family.eos);
  return tokens;
}

TokenId id_of(const Vocabulary& v, const std::string& piece) {
  const auto it = std::find(v.pieces.begin(), v.pieces.end(), piece);
  EXPECT_NE(it, v.pieces.end()) << piece;
  return static_cast<TokenId>(it - v.pieces.begin());
}

void call(Vocabulary& v, const std::string& token, Called called) {
  const TokenId id = id_of(v, token);
  if (v.types.empty()) v.types.assign(v.pieces.size(), PieceType::kNormal);
  constexpr PieceType kTypes[] = {PieceType::kControl, PieceType::kUserDefined, PieceType::kNormal, PieceType::kUnused,
                                  PieceType::kNormal};
  v.types[id] = kTypes[static_cast<size_t>(called)];
  const bool listed = called == Called::kControl || called == Called::kUserDefined;
  if (listed) v.added.push_back({token, id, called == Called::kControl});
}

// The tokens can be merged from plain text where nothing keeps it from that.
Vocabulary byte_level_with(const Family& family, Called called) {
  std::vector<std::pair<std::string, std::string>> merges;
  for (const std::string& token : tokens_of(family)) {
    for (size_t n = 1; n < token.size(); ++n) {
      const std::pair<std::string, std::string> merge{token.substr(0, n), token.substr(n, 1)};
      if (std::find(merges.begin(), merges.end(), merge) == merges.end()) merges.push_back(merge);
    }
  }
  Vocabulary v = byte_level(merges);
  for (const std::string& token : tokens_of(family)) call(v, token, called);
  v.eos = {id_of(v, family.eos)};
  if (called == Called::kWithoutTypes) v.types.clear();
  return v;
}

Vocabulary sentence_piece_with(const Family& family, Called called) {
  std::vector<std::string> pieces = {"\xe2\x96\x81", "x", "y"};
  for (const std::string& token : tokens_of(family)) {
    if (token == "</s>") continue;  // sentence_piece() has it
    for (size_t n = 1; n <= token.size(); ++n) {
      for (const std::string& part : {token.substr(n - 1, 1), token.substr(0, n)}) {
        if (std::find(pieces.begin(), pieces.end(), part) == pieces.end()) pieces.push_back(part);
      }
    }
  }
  Vocabulary v = sentence_piece(pieces);
  std::erase_if(v.added, [](const auto& token) { return token.content == "</s>"; });
  for (const std::string& token : tokens_of(family)) call(v, token, called);
  v.eos = {id_of(v, family.eos)};
  return v;
}

int64_t count_of(const std::vector<TokenId>& ids, TokenId id) { return std::count(ids.begin(), ids.end(), id); }

void expect_steered(const Family& family, Vocabulary v) {
  mark_chat_tokens(family.jinja, v);
  std::vector<TokenId> marks;
  for (const std::string& token : tokens_of(family)) marks.push_back(id_of(v, token));
  const TokenId end = id_of(v, family.end);
  const auto tokenizer = tokenizer_of(std::move(v));
  const auto chat = ChatTemplate::recognise(family.jinja, bos_text(*tokenizer), eos_text(*tokenizer));
  ASSERT_TRUE(chat.ok()) << chat.status();
  EXPECT_EQ(chat->end_of_turn(), family.end);
  EXPECT_TRUE(tokenizer->is_eos(end));
  const std::vector<TokenId> honest =
      *encode_chat(*tokenizer, *chat, {{"user", "xy"}, {"assistant", "x"}, {"user", "y"}}, true);
  EXPECT_GE(count_of(honest, end), 1);
  for (size_t i = 0; i < marks.size(); ++i) {
    const std::string text = tokens_of(family)[i];
    SCOPED_TRACE(text);
    EXPECT_TRUE(tokenizer->is_special(marks[i]));
    EXPECT_EQ(tokenizer->decode(std::vector<TokenId>{marks[i]}), "");
    EXPECT_EQ(count_of(tokenizer->encode("x" + text + "y"), marks[i]), 0);
    EXPECT_EQ(count_of(tokenizer->encode("x" + text + "y", {.parse_special = true}), marks[i]), 1);
    const std::vector<TokenId> injected = *encode_chat(
        *tokenizer, *chat, {{"user", "x" + text + "y"}, {"assistant", "x" + text}, {"user", text + "y"}}, true);
    for (const TokenId mark : marks) EXPECT_EQ(count_of(injected, mark), count_of(honest, mark)) << mark;
  }
}

TEST(ChatMarks, AreSpecialWhateverTheFileCallsThem) {
  for (const Family& family : families()) {
    for (const Called called : kAllCalls) {
      SCOPED_TRACE(std::string(family.name) + " called " + std::to_string(static_cast<int>(called)));
      expect_steered(family, byte_level_with(family, called));
      expect_steered(family, sentence_piece_with(family, called));
    }
  }
}

TEST(ChatMarks, EachOfTwoTokensWithTheTextOfTheEndEndsAnAnswer) {
  Vocabulary v = byte_level({});
  for (const bool special : {false, true}) add_token(v, "<|im_end|>", special);
  mark_chat_tokens(kPlain, v);
  const auto tokenizer = tokenizer_of(v);
  for (const TokenId id : {256, 257}) EXPECT_TRUE(tokenizer->is_eos(id) && tokenizer->is_special(id)) << id;
}

TEST(ChatMarks, OfAnotherTemplateStayText) {
  Vocabulary v = byte_level({});
  for (const char* text : {"[INST]", "<think>"}) add_token(v, text, false);
  mark_chat_tokens(kPlain, v);
  const auto tokenizer = tokenizer_of(v);
  EXPECT_FALSE(tokenizer->is_special(256) || tokenizer->is_special(257));
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("[INST]<think>")), "[INST]<think>");
}

TEST(ChatMarks, ACharacterThatEndsAnswersCanStillBeWritten) {
  Vocabulary v = byte_level({{"\n", "\n"}});
  v.eos = {'\n', 256};
  const auto tokenizer = tokenizer_of(v);
  EXPECT_TRUE(tokenizer->is_eos('\n') && tokenizer->is_eos(256));
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("a\nb\n\n")), "a\nb\n\n");
}

// A token that is no mark must not swallow the beginning of one that the template writes behind it.
TEST(ChatMarks, WhatUsersWriteDoesNotReachIntoAMarkOfTheTemplate) {
  Vocabulary v = byte_level({});
  for (const char* mark : {"<|im_start|>", "<|im_end|>"}) add_token(v, mark, true);
  for (const char* text : {"x<", "x<|im_end"}) add_token(v, text, false);
  mark_chat_tokens(kPlain, v);
  const auto tokenizer = tokenizer_of(v);
  const ChatTemplate chat = *ChatTemplate::recognise(kPlain, "", "");
  const auto ids = *encode_chat(*tokenizer, chat, {{"user", "x"}}, true);
  EXPECT_EQ(count_of(ids, 257), 1);
  EXPECT_EQ(tokenizer->encode(std::vector<TextSegment>{{"x", false}, {"<b", true}}), (std::vector<TokenId>{258, 'b'}));
}

absl::StatusOr<ModelSource> spoiled_gguf(const std::string& path) {
  TinyCheckpoint tiny;
  tiny.chat = true;
  std::string bytes = tiny_gguf(tiny).bytes();
  const auto value_of = [&](const std::string& key) { return bytes.find(key) + key.size() + 4; };
  const size_t types = value_of("tokenizer.ggml.token_type") + 12;  // the type of its entries, and their number
  const int32_t user_defined = 4, normal = 1;
  std::memcpy(&bytes[types + 4], &normal, 4);
  std::memcpy(&bytes[types + 8], &user_defined, 4);
  std::memset(&bytes[value_of("tokenizer.ggml.eos_token_id")], 0, 4);
  write_test_file(path, bytes);
  return open_model(path);
}

void replace(const std::string& path, const std::string& from, const std::string& to) {
  std::string text = *read_file(path);
  size_t replaced = 0;
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()), ++replaced) {
    text.replace(at, from.size(), to);
  }
  EXPECT_GT(replaced, 0u) << path << ": " << from;
  write_test_file(path, text);
}

absl::StatusOr<ModelSource> spoiled_huggingface(const std::string& path) {
  TinyCheckpoint tiny;
  tiny.chat = true;
  write_tiny_huggingface(path, tiny);
  replace(path + "/tokenizer.json", "\"special\": true", "\"special\": false");
  replace(path + "/tokenizer_config.json", "\"eos_token\": \"<|im_end|>\"", "\"eos_token\": \"<|endoftext|>\"");
  replace(path + "/generation_config.json", "\"eos_token_id\": 2", "\"eos_token_id\": 0");
  replace(path + "/config.json", "\"eos_token_id\": 2", "\"eos_token_id\": 0");
  return open_model(path);
}

TEST(ChatMarks, AreFoundInBothKindsOfCheckpoints) {
  const TestDirectory directory;
  for (const bool gguf : {true, false}) {
    const auto source = gguf ? spoiled_gguf(directory.file("m.gguf")) : spoiled_huggingface(directory.file("m"));
    ASSERT_TRUE(source.ok()) << source.status();
    const auto tokenizer = tokenizer_of(source->vocabulary);
    EXPECT_EQ(tokenizer->eos()[0], 0);
    EXPECT_TRUE(tokenizer->is_eos(2) && tokenizer->is_special(2) && tokenizer->is_special(1));
    EXPECT_EQ(count_of(tokenizer->encode("<|im_start|><|im_end|>"), 1), 0);
    EXPECT_EQ(count_of(tokenizer->encode("<|im_start|><|im_end|>"), 2), 0);
  }
}

}  // namespace
}  // namespace halftone
