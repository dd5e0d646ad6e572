// Words to probe with. Integers alone make them, one draw in a statement, so that no library or compiler has a say.
#pragma once

#include <cstdint>
#include <iterator>
#include <random>

#include "tests/kernels/cuda/primitives/probes.h"

namespace halftone::test {

class RandomWords {
 public:
  explicit RandomWords(uint32_t seed) : random_(seed) {}

  uint32_t bits() { return static_cast<uint32_t>(random_()); }
  // least .. most, both of them
  int between(int least, int most) {
    return least + static_cast<int>(bits() % static_cast<uint32_t>(most - least + 1));
  }
  bool one_in(uint32_t n) { return bits() % n == 0; }
  uint32_t sign() { return bits() & 0x80000000u; }

  // A float32 of either sign whose exponent is one of these, with random bits behind it.
  uint32_t f32(int least_exponent, int most_exponent) {
    const auto biased = static_cast<uint32_t>(between(least_exponent, most_exponent) + 127);
    return (bits() & 0x807fffffu) | biased << 23;
  }
  uint16_t bf16(int least_exponent, int most_exponent) {
    return static_cast<uint16_t>(f32(least_exponent, most_exponent) >> 16);
  }
  uint16_t f16(int least_exponent, int most_exponent) {
    const auto biased = static_cast<uint32_t>(between(least_exponent, most_exponent) + 15);
    return static_cast<uint16_t>((bits() & 0x83ffu) | biased << 10);
  }

  // Zeros, ones, infinities, NaNs and the ends of the normal and the subnormal numbers, of either sign.
  uint32_t special_f32() {
    constexpr uint32_t kSpecial[] = {0,          0x3f800000, 0x7f800000, 0x7fc00000, 0x7f800001, 0x7fffffff, 0x00000001,
                                     0x007fffff, 0x00800000, 0x00800001, 0x7f7fffff, 0x7f7f8000, 0x7f7f7fff};
    const uint32_t magnitude = kSpecial[bits() % std::size(kSpecial)];
    return magnitude | sign();
  }
  uint32_t subnormal_f32() { return bits() & 0x807fffffu; }
  // Halfway between two bf16, or next to it.
  uint32_t near_bf16_tie() {
    const uint32_t kept = bits() & 0xffff0000u;
    return kept + static_cast<uint32_t>(between(0x7fff, 0x8001));
  }
  // The same of f16, from below its least subnormal to beyond its greatest number.
  uint32_t near_f16_tie() {
    const int exponent = between(-26, 16);
    const int dropped = exponent >= -14 ? 13 : exponent >= -24 ? -1 - exponent : 23;  // mantissa bits
    const uint32_t tie = exponent >= -24 ? 1u << (dropped - 1) : 0;
    const uint32_t kept = f32(exponent, exponent) & ~((1u << dropped) - 1);
    return kept + tie + static_cast<uint32_t>(between(-1, 1));
  }

 private:
  std::mt19937 random_;
};

}  // namespace halftone::test
