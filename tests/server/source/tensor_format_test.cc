#include "server/source/tensor_format.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "kernels/contract/numbers.h"

namespace halftone {
namespace {

// Random blocks whose halves are ordinary numbers, never infinite.
std::vector<uint8_t> random_blocks(const TensorFormat& format, int64_t blocks, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<uint8_t> bytes(static_cast<size_t>(blocks * format.block_bytes));
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
  auto put_half = [&](int64_t block, int64_t at) {
    const uint16_t half = static_cast<uint16_t>((random() & 0x83ffu) | (1 + random() % 29) << 10);
    std::memcpy(bytes.data() + block * format.block_bytes + at, &half, 2);
  };
  for (int64_t block = 0; block < blocks; ++block) {
    if (format.name == "F32" || format.name == "BF16") continue;
    put_half(block, format.name == "Q6_K" ? 208 : 0);
    if (format.name == "Q4_1" || format.name == "Q5_1" || format.name == "Q4_K") put_half(block, 2);
  }
  return bytes;
}

double half_at(const uint8_t* at) {
  uint16_t bits;
  std::memcpy(&bits, at, 2);
  return f32_from_f16(bits);
}

// Value `i` of a block, straight from the definition, in double: the exact number (or a product more than a float
// holds).
double expected_value(std::string_view name, const uint8_t* b, int i) {
  auto nibble = [&](const uint8_t* codes) { return i < 16 ? codes[i] & 15 : codes[i - 16] >> 4; };
  auto fifth = [&](const uint8_t* high) { return (high[i / 8] >> (i % 8)) & 1; };
  if (name == "Q4_0") return half_at(b) * (nibble(b + 2) - 8);
  if (name == "Q4_1") return half_at(b) * nibble(b + 4) + half_at(b + 2);
  if (name == "Q5_0") return half_at(b) * (nibble(b + 6) + 16 * fifth(b + 2) - 16);
  if (name == "Q5_1") return half_at(b) * (nibble(b + 8) + 16 * fifth(b + 4)) + half_at(b + 2);
  if (name == "Q8_0") return half_at(b) * static_cast<int8_t>(b[2 + i]);
  if (name == "Q4_K") {
    const int group = i / 32;
    const uint8_t* s = b + 4;
    const int scale = group < 4 ? s[group] % 64 : s[group + 4] % 16 + 16 * (s[group - 4] / 64);
    const int minimum = group < 4 ? s[group + 4] % 64 : s[group + 4] / 16 + 16 * (s[group] / 64);
    const uint8_t byte = b[16 + i / 64 * 32 + i % 32];
    return half_at(b) * scale * (group % 2 ? byte / 16 : byte % 16) - half_at(b + 2) * minimum;
  }
  const int within = i % 128, quarter = within / 32;  // Q6_K
  const uint8_t low = b[i / 128 * 64 + within % 64];
  const int four = within < 64 ? low % 16 : low / 16;
  const int two = b[128 + i / 128 * 32 + within % 32] >> (2 * quarter) & 3;
  return half_at(b + 208) * static_cast<int8_t>(b[192 + i / 16]) * (four + 16 * two - 32);
}

TEST(TensorFormat, BlocksDecodeAsTheirFormatsAreDefined) {
  for (const TensorFormat& format : all_tensor_formats()) {
    if (format.block_values == 1) continue;
    SCOPED_TRACE(std::string(format.name));
    constexpr int64_t kBlocks = 50;
    const std::vector<uint8_t> bytes = random_blocks(format, kBlocks, 7);
    std::vector<float> values(static_cast<size_t>(kBlocks * format.block_values));
    format.decode(bytes.data(), kBlocks, values.data());
    for (int64_t i = 0; i < kBlocks * format.block_values; ++i) {
      const uint8_t* block = bytes.data() + i / format.block_values * format.block_bytes;
      const double exact = expected_value(format.name, block, static_cast<int>(i % format.block_values));
      if (format.block_values == 32) {
        ASSERT_EQ(values[i], static_cast<float>(exact)) << "value " << i;  // products are exact: one rounding
      } else {
        const double terms = std::fabs(half_at(block)) * 63 * 15 + std::fabs(half_at(block + 2)) * 63;
        const double bound = format.name == "Q4_K" ? terms * 0x1p-22 : std::fabs(exact) * 0x1p-22;
        ASSERT_NEAR(values[i], exact, bound) << "value " << i;
      }
    }
  }
}

TEST(TensorFormat, CodesScaleAndMinimumGiveTheDecodedValuesExactly) {
  int with_codes = 0;
  for (const TensorFormat& format : all_tensor_formats()) {
    EXPECT_EQ(format.decode_codes != nullptr, format.grid.has_value()) << format.name;
    if (!format.grid) continue;
    ++with_codes;
    SCOPED_TRACE(std::string(format.name));
    constexpr int64_t kBlocks = 200;
    const std::vector<uint8_t> bytes = random_blocks(format, kBlocks, 11);
    std::vector<float> values(kBlocks * 32), scale(kBlocks), minimum(kBlocks);
    std::vector<uint8_t> codes(kBlocks * 32);
    format.decode(bytes.data(), kBlocks, values.data());
    format.decode_codes(bytes.data(), kBlocks, codes.data(), scale.data(), minimum.data());
    for (int64_t i = 0; i < kBlocks * 32; ++i) {
      ASSERT_LT(codes[i], 1 << format.grid->bits);
      ASSERT_EQ(scale[i / 32] * static_cast<float>(codes[i]) + minimum[i / 32], values[i]) << "value " << i;
    }
    if (format.grid->offset == AffineGrid::Offset::kSymmetric) {
      const float middle = static_cast<float>(1 << (format.grid->bits - 1));
      for (int64_t b = 0; b < kBlocks; ++b) ASSERT_EQ(minimum[b], -middle * scale[b]);
    }
  }
  EXPECT_EQ(with_codes, 3);
}

TEST(TensorFormat, AQ8CodeIsItsValuePlus128) {
  uint8_t block[34] = {0, 0x3c};  // scale 1
  block[2] = static_cast<uint8_t>(-3);
  uint8_t codes[32];
  float scale, minimum;
  find_tensor_format("Q8_0")->decode_codes(block, 1, codes, &scale, &minimum);
  EXPECT_EQ(codes[0], 125);
  EXPECT_EQ(codes[1], 128);
  EXPECT_EQ(scale, 1.0f);
  EXPECT_EQ(minimum, -128.0f);
}

TEST(TensorFormat, SixteenBitNumbersDecodeExactly) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const uint16_t stored = static_cast<uint16_t>(bits);
    float half, brain;
    find_tensor_format("F16")->decode(reinterpret_cast<const uint8_t*>(&stored), 1, &half);
    find_tensor_format("BF16")->decode(reinterpret_cast<const uint8_t*>(&stored), 1, &brain);
    const int exponent = bits >> 10 & 31, mantissa = bits & 1023;
    if (exponent != 31) {
      const double magnitude = std::ldexp(exponent ? 1024 + mantissa : mantissa, (exponent ? exponent : 1) - 25);
      ASSERT_EQ(half, bits & 0x8000 ? -magnitude : magnitude) << bits;
    }
    if ((bits >> 7 & 255) != 255) {
      ASSERT_EQ(std::bit_cast<uint32_t>(brain), bits << 16);
    }
  }
}

TEST(TensorFormat, RowsAreWholeBlocks) {
  EXPECT_EQ(find_tensor_format("Q4_1")->row_bytes(64), 40);
  EXPECT_EQ(find_tensor_format("Q6_K")->row_bytes(512), 420);
  EXPECT_FALSE(find_tensor_format("Q4_1")->row_bytes(48));
  EXPECT_FALSE(find_tensor_format("Q4_K")->row_bytes(128));
  EXPECT_FALSE(find_tensor_format("F32")->row_bytes(0));
  EXPECT_FALSE(find_tensor_format("F32")->row_bytes(-4));
}

TEST(TensorFormat, UnreadTypesHaveNamesForMessages) {
  EXPECT_EQ(gguf_type_name(13), "Q5_K");
  EXPECT_EQ(gguf_type_name(39), "MXFP4");
  EXPECT_EQ(gguf_type_name(4000), "type 4000");
  for (const TensorFormat& format : all_tensor_formats()) {
    EXPECT_EQ(gguf_type_name(format.gguf_type), format.name);
    EXPECT_NE(known_tensor_formats().find(format.name), std::string::npos);
  }
}

}  // namespace
}  // namespace halftone
