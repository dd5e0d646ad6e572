#include "tests/kernels/cuda/primitives/mma_probe_list.h"

#include <array>
#include <bit>
#include <cmath>

#include "kernels/contract/numbers.h"
#include "tests/kernels/cuda/primitives/fragments.h"
#include "tests/kernels/cuda/primitives/random_words.h"

namespace halftone::test {
namespace {

constexpr int kM = 16, kN = 8, kK = 16;
constexpr size_t kLanes = 32, kWarps = 8, kWordsIn = 10;  // c[4], a[4], b[2]

// A number of 16 bits, and the kernel that multiplies matrices of it.
struct Half {
  const char* kernel;
  uint16_t (*narrow)(float);
  float (*wide)(uint16_t);
  uint16_t (RandomWords::*random)(int least_exponent, int most_exponent);
};
constexpr Half kBf16{"mma_bf16", bf16_from_f32, f32_from_bf16, &RandomWords::bf16};
constexpr Half kF16{"mma_f16", f16_from_f32, f32_from_f16, &RandomWords::f16};

// The fragments of all lanes, from an accumulator and a factor at a time: factor(whether it is one of a, warp)
template <typename Accumulator, typename Factor>
Words fragments(Accumulator c, Factor factor) {
  Words words;
  for (size_t lane = 0; lane < kWarps * kLanes; ++lane) {
    for (int i = 0; i < 4; ++i) words.push_back(c());
    for (int i = 0; i < 6; ++i) {
      const uint32_t low = factor(i < 4, lane / kLanes);
      words.push_back(low | static_cast<uint32_t>(factor(i < 4, lane / kLanes)) << 16);
    }
  }
  return words;
}

// Sums of integers below 2^24: exact.
Words integers(const Half& half, uint32_t seed) {
  RandomWords random(seed);
  return fragments([&] { return std::bit_cast<uint32_t>(static_cast<float>(random.between(-1 << 20, 1 << 20))); },
                   [&](bool, size_t) { return half.narrow(static_cast<float>(random.between(-256, 256))); });
}

// Small integers, and now and then an infinity or a NaN. Finite sums are exact.
Words specials(const Half& half, uint32_t seed) {
  RandomWords random(seed);
  const auto special = [&] { return std::bit_cast<float>(random.bits() % 3 == 0 ? 0x7fc00000u : 0x7f800000u); };
  const auto value = [&](uint32_t rarity) {
    const float magnitude = random.one_in(rarity) ? special() : static_cast<float>(random.between(0, 3));
    return random.one_in(2) ? magnitude : -magnitude - 1;  // no zero is negative: the sign of a sum of them is no one's
  };
  return fragments([&] { return std::bit_cast<uint32_t>(value(64)); },
                   [&](bool, size_t) { return half.narrow(value(64)); });
}

// The factors of one side are subnormal, or zero, those of the other large. The sums are exact: integers, in units of
// the least subnormal, times a power of two.
Words subnormals(const Half& half, uint32_t seed, float large) {
  RandomWords random(seed);
  const float least = half.wide(1);
  const auto integer = [&] { return static_cast<float>(random.between(-64, 64)); };
  return fragments(
      [&] { return std::bit_cast<uint32_t>(integer() * least * large); },
      [&](bool of_a, size_t warp) { return half.narrow(integer() * (of_a == (warp % 2 == 0) ? least : large)); });
}

Words random_numbers(const Half& half, uint32_t seed, int least_exponent, int most_exponent) {
  RandomWords random(seed);
  return fragments([&] { return random.f32(2 * least_exponent, 2 * most_exponent); },
                   [&](bool, size_t) { return (random.*half.random)(least_exponent, most_exponent); });
}

struct WarpMatrices {
  std::array<std::array<double, kK>, kM> a;
  std::array<std::array<double, kN>, kK> b;
};

WarpMatrices matrices_of(const uint32_t* words, float (*wide)(uint16_t)) {
  WarpMatrices matrices;
  const auto part = [&](const uint32_t* registers, int i) {
    return wide(static_cast<uint16_t>(registers[i / 2] >> (16 * (i % 2))));
  };
  for (int lane = 0; lane < static_cast<int>(kLanes); ++lane) {
    const uint32_t* mine = words + static_cast<size_t>(lane) * kWordsIn;
    for (int i = 0; i < 8; ++i) {
      const Element at = a16(lane, i);
      matrices.a[static_cast<size_t>(at.row)][static_cast<size_t>(at.column)] = part(mine + 4, i);
    }
    for (int i = 0; i < 4; ++i) {
      const Element at = b16(lane, i);
      matrices.b[static_cast<size_t>(at.row)][static_cast<size_t>(at.column)] = part(mine + 8, i);
    }
  }
  return matrices;
}

// What separates two sums of the same 17 terms, in units of 2^-23 times the sum of their magnitudes. The GPU aligns
// the products of one pass to the greatest of them and the accumulator and truncates each to at least float32's 24
// bits: less than a unit for each of 17 terms, and one for the sum; with passes of 8 products there is one more
// accumulator and one more sum: 20. The twin rounds 16 times, to half a unit: 8.
constexpr double kUnits = 28;

std::vector<double> bounds_of(const Words& in, float (*wide)(uint16_t)) {
  std::vector<double> bounds;
  for (size_t warp = 0; warp < in.size(); warp += kLanes * kWordsIn) {
    const WarpMatrices matrices = matrices_of(&in[warp], wide);
    for (size_t lane = 0; lane < kLanes; ++lane) {
      for (size_t i = 0; i < 4; ++i) {
        const Element at = c32(static_cast<int>(lane), static_cast<int>(i));
        double sum = std::fabs(std::bit_cast<float>(in[warp + lane * kWordsIn + i]));
        for (size_t k = 0; k < kK; ++k) {
          sum += std::fabs(matrices.a[static_cast<size_t>(at.row)][k] * matrices.b[k][static_cast<size_t>(at.column)]);
        }
        bounds.push_back(kUnits * 0x1p-23 * sum);
      }
    }
  }
  return bounds;
}

void add_rounded(std::vector<Probe>& probes, const char* name, const Half& half, const Words& in) {
  probes.push_back({name, half.kernel, in, bounds_of(in, half.wide)});
}

}  // namespace

void add_matrices(std::vector<Probe>& probes) {
  probes.push_back({"mma_bf16_integers", "mma_bf16", integers(kBf16, 50), {}});
  probes.push_back({"mma_bf16_specials", "mma_bf16", specials(kBf16, 51), {}});
  probes.push_back({"mma_bf16_subnormals", "mma_bf16", subnormals(kBf16, 52, 0x1p+50f), {}});
  add_rounded(probes, "mma_bf16_alike", kBf16, random_numbers(kBf16, 53, -3, 3));
  add_rounded(probes, "mma_bf16_wide", kBf16, random_numbers(kBf16, 54, -30, 30));
  probes.push_back({"mma_f16_integers", "mma_f16", integers(kF16, 55), {}});
  probes.push_back({"mma_f16_specials", "mma_f16", specials(kF16, 56), {}});
  probes.push_back({"mma_f16_subnormals", "mma_f16", subnormals(kF16, 57, 0x1p+10f), {}});
  add_rounded(probes, "mma_f16_alike", kF16, random_numbers(kF16, 58, -3, 3));
  add_rounded(probes, "mma_f16_wide", kF16, random_numbers(kF16, 59, -14, 15));
  RandomWords random(60);
  Words bits(kWarps * kLanes * kWordsIn);
  for (uint32_t& word : bits) word = random.bits();
  probes.push_back({"mma_s8", "mma_s8", bits, {}});
}

}  // namespace halftone::test
