#include "server/source/gguf_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <random>

#include "server/text/clean_text.h"
#include "tests/support/checkpoint_writer.h"

namespace halftone {
namespace {

using testing::HasSubstr;

// A copy of exactly the file's size, so that a read beyond the end is seen by the address sanitizer.
absl::StatusOr<GgufFile> parse(const std::string& text) {
  std::vector<uint8_t> bytes(text.begin(), text.end());
  absl::StatusOr<GgufFile> result = parse_gguf(bytes, "tiny.gguf");
  if (result.ok()) {
    for (const GgufTensor& tensor : result->tensors) {
      EXPECT_GE(tensor.bytes.data(), bytes.data());
      EXPECT_LE(tensor.bytes.data() + tensor.bytes.size(), bytes.data() + bytes.size());
    }
  }
  return result;
}

std::string error_of(const std::string& bytes) { return std::string(parse(bytes).status().message()); }

std::string floats(int count) { return std::string(static_cast<size_t>(count) * 4, '\0'); }

TEST(GgufFile, EveryKindOfValueIsRead) {
  GgufBytes gguf;
  gguf.key_text("text", "hello");
  gguf.key_u32("u32", 4294967295u);
  gguf.key_u64("u64", 5);
  gguf.key_f32("f32", 0.5f);
  gguf.key_bool("yes", true);
  gguf.key_texts("texts", {"a", "", "c"});
  gguf.key_i32s("i32s", {-1, 2});
  gguf.key_raw("u8", 0, "\x07");
  gguf.key_raw("i8", 1, "\xff");
  gguf.key_raw("i16", 3, std::string("\xfe\xff", 2));
  gguf.key_raw("f64", 12, std::string("\0\0\0\0\0\0\xf8\x3f", 8));
  gguf.key_raw("bools", 9, std::string("\x07\0\0\0\x02\0\0\0\0\0\0\0\x01\0", 14));
  absl::StatusOr<GgufFile> file = parse(gguf.bytes());
  ASSERT_TRUE(file.ok()) << file.status();
  const GgufMetadata& keys = file->metadata;
  EXPECT_EQ(keys.text("text"), "hello");
  EXPECT_EQ(keys.integer("u32"), 4294967295);
  EXPECT_EQ(keys.integer("u64"), 5);
  EXPECT_EQ(keys.number("f32"), 0.5);
  EXPECT_EQ(keys.number("u64"), 5.0) << "an integer answers to number()";
  EXPECT_EQ(keys.flag("yes"), true);
  EXPECT_EQ(*keys.find<std::vector<std::string>>("texts"), (std::vector<std::string>{"a", "", "c"}));
  EXPECT_EQ(*keys.find<std::vector<int64_t>>("i32s"), (std::vector<int64_t>{-1, 2}));
  EXPECT_EQ(keys.integer("u8"), 7);
  EXPECT_EQ(keys.integer("i8"), -1);
  EXPECT_EQ(keys.integer("i16"), -2);
  EXPECT_EQ(keys.number("f64"), 1.5);
  EXPECT_EQ(*keys.find<std::vector<bool>>("bools"), (std::vector<bool>{true, false}));
  EXPECT_FALSE(keys.integer("text"));
  EXPECT_FALSE(keys.has("nothing"));
}

TEST(GgufFile, TensorsComeWithTheirShapesAndBytes) {
  GgufBytes gguf;
  gguf.key_text("a", "b");
  gguf.tensor("matrix", {2, 3}, 0, std::string("\x01\x02\x03\x04", 4) + floats(5));
  gguf.tensor("vector", {64}, 3, std::string(40, 'q'));
  absl::StatusOr<GgufFile> file = parse(gguf.bytes());
  ASSERT_TRUE(file.ok()) << file.status();
  ASSERT_EQ(file->tensors.size(), 2u);
  EXPECT_EQ(file->tensors[0].name, "matrix");
  EXPECT_EQ(file->tensors[0].rows, 3);
  EXPECT_EQ(file->tensors[0].cols, 2);
  EXPECT_EQ(file->tensors[0].bytes.size(), 24u);
  EXPECT_EQ(file->tensors[1].format->name, "Q4_1");
  EXPECT_EQ(file->tensors[1].rows, 1);
  EXPECT_EQ(file->tensors[1].bytes.size(), 40u);
}

TEST(GgufFile, EveryPlaceToEndTooEarlyIsAnError) {
  TinyCheckpoint tiny;
  tiny.config.layers = 1;
  tiny.config.dim = 8;
  tiny.config.heads = tiny.config.kv_heads = 1;
  tiny.config.head_dim = tiny.config.ffn = 8;
  const std::string bytes = tiny_gguf(tiny).bytes();
  ASSERT_TRUE(parse(bytes).ok());
  for (size_t length = 0; length < bytes.size(); length += length < 8192 ? 1 : 7) {
    absl::StatusOr<GgufFile> file = parse(bytes.substr(0, length));
    ASSERT_EQ(file.status().code(), absl::StatusCode::kInvalidArgument) << length;
    ASSERT_THAT(std::string(file.status().message()), HasSubstr("tiny.gguf: "));
  }
}

TEST(GgufFile, DamagedFilesAreRefusedOrReadButNeverBreakUs) {
  TinyCheckpoint tiny;
  tiny.config.layers = 1;
  tiny.config.dim = 8;
  tiny.config.heads = tiny.config.kv_heads = 1;
  tiny.config.head_dim = tiny.config.ffn = 8;
  const std::string bytes = tiny_gguf(tiny).bytes();
  std::mt19937 random(3);
  int refused = 0;
  for (int round = 0; round < 3000; ++round) {
    std::string damaged = bytes;
    for (int i = 0; i < 4; ++i) damaged[random() % damaged.size()] = static_cast<char>(random());
    for (int i = 0; i < 2; ++i) damaged[random() % 400] = static_cast<char>(random() % 3 ? 0xff : 0);
    refused += parse(damaged).ok() ? 0 : 1;
  }
  EXPECT_GT(refused, 1000);
}

struct BadFile {
  const char* what;
  std::function<void(GgufBytes&)> spoil;
  const char* expected;
};

TEST(GgufFile, LiesAreNamed) {
  const BadFile cases[] = {
      {"version", [](GgufBytes& g) { g.version = 1; }, "GGUF version 1, expected one of 2, 3"},
      {"version to come", [](GgufBytes& g) { g.version = 4; }, "GGUF version 4, expected one of 2, 3"},
      {"big-endian", [](GgufBytes& g) { g.version = 3u << 24; }, "big-endian"},
      {"older big-endian", [](GgufBytes& g) { g.version = 2u << 24; }, "big-endian"},
      {"absurd tensor count", [](GgufBytes& g) { g.extra_tensors = uint64_t{1} << 60; }, "claims 1152921504606846977"},
      {"absurd key count", [](GgufBytes& g) { g.extra_keys = uint64_t{1} << 40; }, "keys in"},
      {"a key too many", [](GgufBytes& g) { g.extra_keys = 1; }, "tiny.gguf: "},
      {"alignment 0", [](GgufBytes& g) { g.key_u32("general.alignment", 0); }, "general.alignment = 0"},
      {"alignment 24", [](GgufBytes& g) { g.key_u32("general.alignment", 24); }, "expected a power of two"},
      {"alignment 2^31", [](GgufBytes& g) { g.key_u32("general.alignment", 1u << 31); }, "general.alignment"},
      {"alignment text", [](GgufBytes& g) { g.key_text("general.alignment", "32"); }, "general.alignment"},
      {"key twice", [](GgufBytes& g) { g.key_bool("k", true), g.key_bool("k", true); }, "the key k is there twice"},
      {"no key name", [](GgufBytes& g) { g.key_bool("", true); }, "name of a key has 0 bytes"},
      {"unknown value type", [](GgufBytes& g) { g.key_raw("k", 13, ""); }, "unknown value type 13"},
      {"nested array", [](GgufBytes& g) { g.key_raw("k", 9, std::string("\x09\0\0\0\x01\0\0\0\0\0\0\0", 12)); },
       "nested"},
      {"huge number", [](GgufBytes& g) { g.key_u64("k", ~uint64_t{0}); }, "beyond 2^63"},
      {"endless text", [](GgufBytes& g) { g.key_raw("k", 8, std::string("\xff\xff\xff\xff\xff\xff\xff\xff", 8)); },
       "ends inside the value of k"},
      {"endless array",
       [](GgufBytes& g) { g.key_raw("k", 9, std::string("\x04\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff", 12)); },
       "k claims 18446744073709551615 elements"},
      {"endless texts",
       [](GgufBytes& g) { g.key_raw("k", 9, std::string("\x08\0\0\0\xff\xff\xff\xff\xff\xff\xff\x0f", 12)); },
       "k claims 1152921504606846975 elements"},
      {"tensor twice", [](GgufBytes& g) { g.tensor("t", {8}, 0, floats(8)); }, "tensor t is there twice"},
      {"no dimensions", [](GgufBytes& g) { g.tensor_at("x", {}, 0, 0); }, "tensor x has 0 dimensions"},
      {"five dimensions",
       [](GgufBytes& g) {
         g.tensor_at("x", {1, 1, 1, 1, 1}, 0, 0);
       },
       "tensor x has 5 dimensions"},
      {"empty", [](GgufBytes& g) { g.tensor_at("x", {0}, 0, 0); }, "tensor x has the shape [0]"},
      {"overflowing shape",
       [](GgufBytes& g) {
         g.tensor_at("x", {uint64_t{1} << 33, uint64_t{1} << 33}, 0, 0);
       },
       "tensor x has the shape [8589934592, 8589934592]"},
      {"shape that wraps to something small",
       [](GgufBytes& g) {
         g.tensor_at("x", {uint64_t{1} << 63, 2}, 0, 0);
       },
       "tensor x has the shape [9223372036854775808]"},
      {"half a block", [](GgufBytes& g) { g.tensor("x", {48}, 3, std::string(40, 0)); },
       "tensor x is Q4_1 with rows of 48, expected a multiple of 32"},
      {"crooked offset", [](GgufBytes& g) { g.tensor_at("x", {1}, 0, 4); }, "expected a multiple of 32"},
      {"beyond the end", [](GgufBytes& g) { g.tensor_at("x", {64}, 0, 0); }, "tensor x takes 256 bytes from 0, but"},
      {"offset that wraps", [](GgufBytes& g) { g.tensor_at("x", {16}, 0, ~uint64_t{31}); },
       "tensor x takes 64 bytes from"},
      {"overlap", [](GgufBytes& g) { g.tensor_at("x", {1}, 0, 0); }, "overlap"},
  };
  for (const BadFile& bad : cases) {
    GgufBytes gguf;
    gguf.tensor("t", {8}, 0, floats(8));
    bad.spoil(gguf);
    EXPECT_THAT(error_of(gguf.bytes()), HasSubstr(bad.expected)) << bad.what;
  }
}

TEST(GgufFile, TheSecondVersionLiesAsTheThird) {
  GgufBytes gguf;
  gguf.version = 2;
  gguf.key_text("a", "b");
  gguf.tensor("t", {8}, 0, floats(8));
  absl::StatusOr<GgufFile> file = parse(gguf.bytes());
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->metadata.text("a"), "b");
  EXPECT_EQ(file->tensors.size(), 1u);
}

TEST(GgufFile, ATypeThatWeDoNotReadIsLeftToWhoNeedsTheTensor) {
  GgufBytes gguf;
  gguf.tensor_at("x", {256}, 13, 0);
  gguf.tensor_at("y", {256}, 99, 0);
  absl::StatusOr<GgufFile> file = parse(gguf.bytes());
  ASSERT_TRUE(file.ok()) << file.status();
  for (const GgufTensor& tensor : file->tensors) EXPECT_EQ(tensor.format, nullptr);
  EXPECT_EQ(file->tensors[1].type, 99u);
}

TEST(GgufFile, CountsAreCheckedBeforeAnythingIsAllocated) {
  auto error = [](const GgufBytes& gguf) {
    const std::string bytes = gguf.bytes();
    const std::span<const uint8_t> span(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
    return std::string(parse_gguf(span, "tiny.gguf").status().message());
  };
  auto array = [](uint64_t count) {
    std::string value(12 + count, '\0');  // of bytes, each of which would become eight
    std::memcpy(value.data() + 4, &count, 8);
    return value;
  };
  constexpr uint64_t kMany = (uint64_t{1} << 24) + 1;
  GgufBytes one, two, keys;
  one.key_raw("k", 9, array(kMany));
  EXPECT_THAT(error(one), HasSubstr("k has 16777217 elements and other keys 0, expected at most 16777216 in all"));
  two.key_raw("a", 9, array(1000));
  two.key_raw("b", 9, array(kMany - 1000));
  EXPECT_THAT(error(two), HasSubstr("b has 16776217 elements and other keys 1000"));
  keys.extra_keys = 1 << 17;
  keys.key_text("k", std::string(2 << 20, ' '));
  EXPECT_THAT(error(keys), HasSubstr("claims 0 tensors and 131073 keys, expected at most 1048576 and 65536"));
}

TEST(GgufFile, NamesInMessagesCannotMoveTheCursor) {
  GgufBytes gguf;
  gguf.tensor_at("\x1b[2J\n", {0}, 0, 0);
  GgufBytes key, text, overlap;
  key.key_raw("\x1b[2J\n\xff", 13, "");
  text.key_raw("\x1b[2J\n\xff", 8, std::string("\xff\xff\xff\xff\xff\xff\xff\xff", 8));
  for (const char* name : {"\x1b\n\xff", "\x1b\n\xfe"}) overlap.tensor_at(name, {1}, 0, 0);
  for (const GgufBytes& bad : {gguf, key, text, overlap}) {
    const std::string error = error_of(bad.bytes());
    EXPECT_NE(error, "");
    EXPECT_EQ(clean_text(error), error);
  }
}

TEST(GgufFile, SomethingElseIsNotGguf) {
  EXPECT_THAT(error_of("GGU"), HasSubstr("not a GGUF file"));
  EXPECT_THAT(error_of("{\"a\": 1}             "), HasSubstr("not a GGUF file"));
  EXPECT_THAT(error_of("GGUF\x03"), HasSubstr("ends inside its header"));
}

}  // namespace
}  // namespace halftone
