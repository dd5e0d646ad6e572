#include "server/source/tensor_format.h"

#include <array>
#include <cstring>

#include "kernels/contract/numbers.h"
#include "server/source/message.h"

namespace halftone {
namespace {

constexpr int kBlock = 32;   // values of a plain block
constexpr int kSuper = 256;  // values of a K block

uint16_t load_u16(const uint8_t* in) {
  uint16_t value;
  std::memcpy(&value, in, sizeof(value));
  return value;
}

uint32_t load_u32(const uint8_t* in) {
  uint32_t value;
  std::memcpy(&value, in, sizeof(value));
  return value;
}

float load_half(const uint8_t* in) { return f32_from_f16(load_u16(in)); }

void decode_f32(const uint8_t* in, int64_t blocks, float* out) {
  std::memcpy(out, in, static_cast<size_t>(blocks) * sizeof(float));
}

void decode_f16(const uint8_t* in, int64_t blocks, float* out) {
  for (int64_t i = 0; i < blocks; ++i) out[i] = load_half(in + 2 * i);
}

void decode_bf16(const uint8_t* in, int64_t blocks, float* out) {
  for (int64_t i = 0; i < blocks; ++i) out[i] = f32_from_bf16(load_u16(in + 2 * i));
}

void decode_q4_0(const uint8_t* in, int64_t blocks, float* out) {
  for (; blocks > 0; --blocks, in += 18, out += kBlock) {
    const float scale = load_half(in);
    for (int j = 0; j < 16; ++j) {
      out[j] = static_cast<float>((in[2 + j] & 15) - 8) * scale;
      out[j + 16] = static_cast<float>((in[2 + j] >> 4) - 8) * scale;
    }
  }
}

void decode_q4_1(const uint8_t* in, int64_t blocks, float* out) {
  for (; blocks > 0; --blocks, in += 20, out += kBlock) {
    const float scale = load_half(in);
    const float minimum = load_half(in + 2);
    for (int j = 0; j < 16; ++j) {
      out[j] = static_cast<float>(in[4 + j] & 15) * scale + minimum;
      out[j + 16] = static_cast<float>(in[4 + j] >> 4) * scale + minimum;
    }
  }
}

// The fifth bit of value j is bit j of `high`.
int five_bits(int nibble, uint32_t high, int j) { return nibble | static_cast<int>(((high >> j) & 1u) << 4); }

void decode_q5_0(const uint8_t* in, int64_t blocks, float* out) {
  for (; blocks > 0; --blocks, in += 22, out += kBlock) {
    const float scale = load_half(in);
    const uint32_t high = load_u32(in + 2);
    for (int j = 0; j < 16; ++j) {
      out[j] = static_cast<float>(five_bits(in[6 + j] & 15, high, j) - 16) * scale;
      out[j + 16] = static_cast<float>(five_bits(in[6 + j] >> 4, high, j + 16) - 16) * scale;
    }
  }
}

void decode_q5_1(const uint8_t* in, int64_t blocks, float* out) {
  for (; blocks > 0; --blocks, in += 24, out += kBlock) {
    const float scale = load_half(in);
    const float minimum = load_half(in + 2);
    const uint32_t high = load_u32(in + 4);
    for (int j = 0; j < 16; ++j) {
      out[j] = static_cast<float>(five_bits(in[8 + j] & 15, high, j)) * scale + minimum;
      out[j + 16] = static_cast<float>(five_bits(in[8 + j] >> 4, high, j + 16)) * scale + minimum;
    }
  }
}

void decode_q8_0(const uint8_t* in, int64_t blocks, float* out) {
  for (; blocks > 0; --blocks, in += 34, out += kBlock) {
    const float scale = load_half(in);
    for (int j = 0; j < kBlock; ++j) out[j] = static_cast<float>(static_cast<int8_t>(in[2 + j])) * scale;
  }
}

struct ScaleAndMinimum {
  int scale, minimum;
};

// The 12 bytes hold eight pairs of 6 bits: the first four plain, the top bits of the others in their spare two bits.
ScaleAndMinimum q4_k_pair(const uint8_t* s, int group) {
  if (group < 4) return {s[group] & 63, s[group + 4] & 63};
  return {(s[group + 4] & 15) | (s[group - 4] >> 6) << 4, (s[group + 4] >> 4) | (s[group] >> 6) << 4};
}

void decode_q4_k(const uint8_t* in, int64_t blocks, float* out) {
  for (; blocks > 0; --blocks, in += 144, out += kSuper) {
    const float d = load_half(in);
    const float dmin = load_half(in + 2);
    for (int group = 0; group < 8; ++group) {
      const ScaleAndMinimum pair = q4_k_pair(in + 4, group);
      const float scale = d * static_cast<float>(pair.scale);
      const float minimum = dmin * static_cast<float>(pair.minimum);
      const uint8_t* q = in + 16 + group / 2 * 32;  // even groups in the low nibbles, odd ones in the high
      const int shift = group % 2 * 4;
      for (int j = 0; j < 32; ++j) {
        out[group * 32 + j] = scale * static_cast<float>((q[j] >> shift) & 15) - minimum;
      }
    }
  }
}

void decode_q6_k(const uint8_t* in, int64_t blocks, float* out) {
  for (; blocks > 0; --blocks, in += 210, out += kSuper) {
    const float d = load_half(in + 208);
    for (int half = 0; half < 2; ++half) {
      const uint8_t* low = in + half * 64;
      const uint8_t* high = in + 128 + half * 32;
      const uint8_t* scales = in + 192 + half * 8;
      for (int part = 0; part < 4; ++part) {  // 32 values each: low nibbles of 0..31, of 32..63, then the high ones
        for (int j = 0; j < 32; ++j) {
          const int nibble = (low[part % 2 * 32 + j] >> (part / 2 * 4)) & 15;
          const int code = (nibble | ((high[j] >> (2 * part)) & 3) << 4) - 32;
          const float scale = d * static_cast<float>(static_cast<int8_t>(scales[part * 2 + j / 16]));
          out[half * 128 + part * 32 + j] = scale * static_cast<float>(code);
        }
      }
    }
  }
}

void codes_q4_0(const uint8_t* in, int64_t blocks, uint8_t* codes, float* scale, float* minimum) {
  for (int64_t b = 0; b < blocks; ++b, in += 18, codes += kBlock) {
    scale[b] = load_half(in);
    minimum[b] = -8.0f * scale[b];
    for (int j = 0; j < 16; ++j) {
      codes[j] = in[2 + j] & 15;
      codes[j + 16] = in[2 + j] >> 4;
    }
  }
}

void codes_q4_1(const uint8_t* in, int64_t blocks, uint8_t* codes, float* scale, float* minimum) {
  for (int64_t b = 0; b < blocks; ++b, in += 20, codes += kBlock) {
    scale[b] = load_half(in);
    minimum[b] = load_half(in + 2);
    for (int j = 0; j < 16; ++j) {
      codes[j] = in[4 + j] & 15;
      codes[j + 16] = in[4 + j] >> 4;
    }
  }
}

void codes_q8_0(const uint8_t* in, int64_t blocks, uint8_t* codes, float* scale, float* minimum) {
  for (int64_t b = 0; b < blocks; ++b, in += 34, codes += kBlock) {
    scale[b] = load_half(in);
    minimum[b] = -128.0f * scale[b];
    for (int j = 0; j < kBlock; ++j) codes[j] = in[2 + j] ^ 0x80;  // two's complement to offset 128
  }
}

constexpr AffineGrid kSymmetric4{4, kBlock, AffineGrid::Offset::kSymmetric};
constexpr AffineGrid kMinimum4{4, kBlock, AffineGrid::Offset::kMinimum};
constexpr AffineGrid kSymmetric8{8, kBlock, AffineGrid::Offset::kSymmetric};

constexpr std::array<TensorFormat, 10> kFormats = {{
    {"F32", 0, 1, 4, decode_f32, nullptr, std::nullopt},
    {"F16", 1, 1, 2, decode_f16, nullptr, std::nullopt},
    {"BF16", 30, 1, 2, decode_bf16, nullptr, std::nullopt},
    {"Q4_0", 2, kBlock, 18, decode_q4_0, codes_q4_0, kSymmetric4},
    {"Q4_1", 3, kBlock, 20, decode_q4_1, codes_q4_1, kMinimum4},
    {"Q5_0", 6, kBlock, 22, decode_q5_0, nullptr, std::nullopt},
    {"Q5_1", 7, kBlock, 24, decode_q5_1, nullptr, std::nullopt},
    {"Q8_0", 8, kBlock, 34, decode_q8_0, codes_q8_0, kSymmetric8},
    {"Q4_K", 12, kSuper, 144, decode_q4_k, nullptr, std::nullopt},
    {"Q6_K", 14, kSuper, 210, decode_q6_k, nullptr, std::nullopt},
}};

// The names of types that exist but that we do not read.
constexpr std::array<std::string_view, 40> kGgufNames = {
    "F32",    "F16",      "Q4_0",     "Q4_1",     "Q4_2",  "Q4_3",  "Q5_0",       "Q5_1",       "Q8_0",       "Q8_1",
    "Q2_K",   "Q3_K",     "Q4_K",     "Q5_K",     "Q6_K",  "Q8_K",  "IQ2_XXS",    "IQ2_XS",     "IQ3_XXS",    "IQ1_S",
    "IQ4_NL", "IQ3_S",    "IQ2_S",    "IQ4_XS",   "I8",    "I16",   "I32",        "I64",        "F64",        "IQ1_M",
    "BF16",   "Q4_0_4_4", "Q4_0_4_8", "Q4_0_8_8", "TQ1_0", "TQ2_0", "IQ4_NL_4_4", "IQ4_NL_4_8", "IQ4_NL_8_8", "MXFP4"};

}  // namespace

std::optional<int64_t> TensorFormat::row_bytes(int64_t cols) const {
  if (cols <= 0 || cols % block_values != 0) return std::nullopt;
  return cols / block_values * block_bytes;
}

std::span<const TensorFormat> all_tensor_formats() { return kFormats; }

const TensorFormat* find_tensor_format(std::string_view name) {
  for (const TensorFormat& format : kFormats) {
    if (format.name == name) return &format;
  }
  return nullptr;
}

const TensorFormat* find_gguf_tensor_format(uint32_t type) {
  for (const TensorFormat& format : kFormats) {
    if (format.gguf_type == type) return &format;
  }
  return nullptr;
}

std::string gguf_type_name(uint32_t type) {
  return type < kGgufNames.size() ? std::string(kGgufNames[type]) : message("type ", type);
}

std::string known_tensor_formats() {
  std::string names;
  for (const TensorFormat& format : kFormats) names += message(names.empty() ? "" : ", ", format.name);
  return names;
}

}  // namespace halftone
