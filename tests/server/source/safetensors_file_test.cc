#include "server/source/safetensors_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "absl/status/status.h"

namespace halftone {
namespace {

using testing::HasSubstr;

std::string file_of(const std::string& header, const std::string& data) {
  const uint64_t length = header.size();
  return std::string(reinterpret_cast<const char*>(&length), 8) + header + data;
}

absl::StatusOr<std::vector<SafeTensor>> parse(const std::string& text) {
  std::vector<uint8_t> bytes(text.begin(), text.end());  // of exactly its size, for the address sanitizer
  absl::StatusOr<std::vector<SafeTensor>> tensors = parse_safetensors(bytes, "m.safetensors");
  if (tensors.ok()) {
    for (const SafeTensor& tensor : *tensors) {
      EXPECT_GE(tensor.bytes.data(), bytes.data());
      EXPECT_LE(tensor.bytes.data() + tensor.bytes.size(), bytes.data() + bytes.size());
    }
  }
  return tensors;
}

TEST(SafetensorsFile, TensorsComeWithTheirShapesAndBytes) {
  absl::StatusOr<std::vector<SafeTensor>> tensors =
      parse(file_of(R"({"__metadata__":{"format":"pt"},)"
                    R"("m":{"dtype":"BF16","shape":[2,3],"data_offsets":[4,16]},)"
                    R"("odd":{"dtype":"I64","shape":[1],"data_offsets":[16,24]},)"
                    R"("v":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
                    std::string(24, 'x')));
  ASSERT_TRUE(tensors.ok()) << tensors.status();
  ASSERT_EQ(tensors->size(), 3u);
  EXPECT_EQ((*tensors)[0].name, "m");
  EXPECT_EQ((*tensors)[0].rows, 2);
  EXPECT_EQ((*tensors)[0].cols, 3);
  EXPECT_EQ((*tensors)[0].bytes.size(), 12u);
  EXPECT_EQ((*tensors)[1].format, nullptr);
  EXPECT_EQ((*tensors)[1].dtype, "I64");
  EXPECT_EQ((*tensors)[2].rows, 1);
  EXPECT_EQ((*tensors)[2].dimensions, 1);
}

TEST(SafetensorsFile, LiesAreNamed) {
  struct Case {
    const char* entries;
    const char* expected;
  };
  const Case cases[] = {
      {R"("t":{"dtype":"F32","shape":[4],"data_offsets":[0,20]})", "tensor t ends at byte 20, but the file holds 16"},
      {R"("t":{"dtype":"F32","shape":[3],"data_offsets":[0,16]})", "tensor t takes 16 bytes, expected 12 for F32"},
      {R"("t":{"dtype":"F32","shape":[4],"data_offsets":[16,0]})", "tensor t has no data_offsets"},
      {R"("t":{"dtype":"F32","shape":[4],"data_offsets":[-16,0]})", "tensor t has no data_offsets"},
      {R"("t":{"dtype":"F32","shape":[4],"data_offsets":[0]})", "tensor t has no data_offsets"},
      {R"("t":{"dtype":"F32","shape":[4],"data_offsets":[0,1e300]})", "tensor t has no data_offsets"},
      {R"("t":{"dtype":"F32","shape":[4]})", "tensor t has no data_offsets"},
      {R"("t":{"dtype":"F32","data_offsets":[0,16]})", "tensor t has no shape"},
      {R"("t":{"shape":[4],"data_offsets":[0,16]})", "tensor t has no dtype"},
      {R"("t":{"dtype":"F32","shape":[0],"data_offsets":[0,0]})", "tensor t has an impossible shape"},
      {R"("t":{"dtype":"F32","shape":[-4],"data_offsets":[0,16]})", "tensor t has an impossible shape"},
      {R"("t":{"dtype":"F32","shape":[4.5],"data_offsets":[0,16]})", "tensor t has an impossible shape"},
      {R"("t":{"dtype":"F32","shape":["4"],"data_offsets":[0,16]})", "tensor t has an impossible shape"},
      {R"("t":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,16]})", "impossible shape"},
      {R"("t":{"dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,16]})", "impossible shape"},
      {R"("t":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,4],"data_offsets":[0,16]})", "tensor t has no shape"},
      {R"("t":[])", "tensor t is no JSON object"},
      {R"("a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]})",
       "tensor b overlaps a"},
      {R"("a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"F32","shape":[2],"data_offsets":[8,16]})",
       "the key \"a\" is there twice"},
  };
  for (const Case& bad : cases) {
    absl::Status status = parse(file_of("{" + std::string(bad.entries) + "}", std::string(16, 'x'))).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << bad.entries;
    EXPECT_THAT(std::string(status.message()), HasSubstr(bad.expected)) << bad.entries;
    EXPECT_THAT(std::string(status.message()), HasSubstr("m.safetensors: "));
  }
}

TEST(SafetensorsFile, HeadersThatAreNoneAreRefused) {
  auto error = [](const std::string& bytes) { return std::string(parse(bytes).status().message()); };
  EXPECT_THAT(error("1234567"), HasSubstr("7 bytes are no safetensors file"));
  EXPECT_THAT(error(std::string(8, '\xff')),
              HasSubstr("claims a header of 18446744073709551615 bytes, expected at most 0"));
  EXPECT_THAT(error(file_of("{", "}")), HasSubstr("not valid JSON"));
  EXPECT_THAT(error(file_of("[]", "")), HasSubstr("expected a JSON object"));
  EXPECT_THAT(error(file_of("{\"a\": \"\xff\"}", "")), HasSubstr("not valid JSON"));
  EXPECT_THAT(error(file_of(std::string(1000000, '['), "")), HasSubstr("nested deeper than 128 levels"));
  EXPECT_THAT(error(file_of("{\"a\":" + std::string(100000, '[') + std::string(100000, ']') + "}", "")),
              HasSubstr("nested deeper than 128 levels at line 1, column 133"));
}

TEST(SafetensorsFile, DamagedFilesAreRefusedOrReadButNeverBreakUs) {
  std::string header = "{";
  for (int i = 0; i < 20; ++i) {
    header += (i ? "," : "") + ("\"layer" + std::to_string(i)) +
              "\":{\"dtype\":\"F16\",\"shape\":[2,4],\"data_offsets\":[" + std::to_string(16 * i) + "," +
              std::to_string(16 * i + 16) + "]}";
  }
  const std::string bytes = file_of(header + "}", std::string(320, 'x'));
  ASSERT_TRUE(parse(bytes).ok());
  for (size_t length = 0; length < bytes.size(); ++length) ASSERT_FALSE(parse(bytes.substr(0, length)).ok()) << length;
  std::mt19937 random(5);
  int refused = 0;
  for (int round = 0; round < 5000; ++round) {
    std::string damaged = bytes;
    for (int i = 0; i < 3; ++i)
      damaged[random() % header.size()] = static_cast<char>("0987654321[]{},:\"\\e-"[random() % 20]);
    refused += parse(damaged).ok() ? 0 : 1;
  }
  EXPECT_GT(refused, 2500);
}

}  // namespace
}  // namespace halftone
