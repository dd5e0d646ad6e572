#include "tests/support/checkpoint_encode.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "kernels/contract/check.h"
#include "kernels/contract/numbers.h"

namespace halftone {
namespace {

constexpr size_t kBlock = 32;

void put_u16(std::string& out, uint16_t value) { out.append(reinterpret_cast<const char*>(&value), sizeof(value)); }

int code_of(float value, float scale, float minimum, int most) {
  if (scale == 0) return 0;
  return std::clamp(static_cast<int>(std::lround((value - minimum) / scale)), 0, most);
}

// Low nibbles hold the first half of a block, high nibbles the second.
void put_nibbles(std::string& out, std::span<const float> block, float scale, float minimum) {
  for (size_t j = 0; j < kBlock / 2; ++j) {
    const int low = code_of(block[j], scale, minimum, 15), high = code_of(block[j + kBlock / 2], scale, minimum, 15);
    out.push_back(static_cast<char>(low | high << 4));
  }
}

float largest(std::span<const float> block) {
  float most = 0;
  for (float value : block) most = std::max(most, std::fabs(value));
  return most;
}

void put_q4_0(std::string& out, std::span<const float> block) {
  const uint16_t scale = f16_from_f32(largest(block) / 7.5f);
  put_u16(out, scale);
  put_nibbles(out, block, f32_from_f16(scale), -8 * f32_from_f16(scale));
}

void put_q4_1(std::string& out, std::span<const float> block) {
  const auto [least, most] = std::minmax_element(block.begin(), block.end());
  const uint16_t minimum = f16_from_f32(*least), scale = f16_from_f32((*most - *least) / 15);
  put_u16(out, scale);
  put_u16(out, minimum);
  put_nibbles(out, block, f32_from_f16(scale), f32_from_f16(minimum));
}

void put_q8_0(std::string& out, std::span<const float> block) {
  const uint16_t scale = f16_from_f32(largest(block) / 127);
  put_u16(out, scale);
  for (float value : block) {
    out.push_back(static_cast<char>(code_of(value, f32_from_f16(scale), -128 * f32_from_f16(scale), 255) - 128));
  }
}

}  // namespace

std::string encode_values(std::string_view type, std::span<const float> values) {
  std::string out;
  if (type == "F32") return std::string(reinterpret_cast<const char*>(values.data()), values.size_bytes());
  if (type == "F16" || type == "BF16") {
    for (float value : values) put_u16(out, type == "F16" ? f16_from_f32(value) : bf16_from_f32(value));
    return out;
  }
  HALFTONE_CHECK(values.size() % kBlock == 0);
  HALFTONE_CHECK(type == "Q4_0" || type == "Q4_1" || type == "Q8_0");
  for (size_t i = 0; i < values.size(); i += kBlock) {
    std::span<const float> block = values.subspan(i, kBlock);
    if (type == "Q4_0") put_q4_0(out, block);
    if (type == "Q4_1") put_q4_1(out, block);
    if (type == "Q8_0") put_q8_0(out, block);
  }
  return out;
}

}  // namespace halftone
