#include "tests/kernels/cuda/primitives/probe_list.h"

#include "tests/kernels/cuda/primitives/mma_probe_list.h"
#include "tests/kernels/cuda/primitives/random_words.h"

namespace halftone::test {
namespace {

template <typename Next>
Words words(size_t size, Next next) {
  Words words(size);
  for (uint32_t& word : words) word = next();
  return words;
}

Words random_bits(uint32_t seed, size_t size) {
  RandomWords random(seed);
  return words(size, [&] { return random.bits(); });
}

// Every pattern of 16 bits, two in a word.
Words all_halves() {
  uint32_t next = 0;
  return words(1u << 15, [&] {
    const uint32_t pair = next | (next + 1) << 16;
    next += 2;
    return pair;
  });
}

uint32_t any_f32(RandomWords& random) {
  if (random.one_in(8)) return random.special_f32();
  return random.one_in(8) ? random.subnormal_f32() : random.bits();
}

Words to_narrow(uint32_t seed, size_t size) {
  RandomWords random(seed);
  return words(size, [&] {
    switch (random.between(0, 3)) {
      case 0:
        return random.near_bf16_tie();
      case 1:
        return random.near_f16_tie();
      case 2:
        return random.f32(-27, 17);  // what f16 holds, and a little more
      default:
        return any_f32(random);
    }
  });
}

// Triples: anything, or numbers so near to each other that digits cancel, or products that are hardly numbers still.
Words triples(uint32_t seed, size_t count) {
  RandomWords random(seed);
  Words all;
  for (size_t i = 0; i < count; ++i) {
    const int kind = random.between(0, 3);
    for (int j = 0; j < 3; ++j) {
      if (kind == 0) all.push_back(any_f32(random));
      if (kind == 1) all.push_back(random.f32(-2, 2));
      if (kind == 2) all.push_back(j < 2 ? random.f32(-2, 2) : random.f32(-30, 30));
      if (kind == 3) all.push_back(j < 2 ? random.f32(-76, -60) : random.subnormal_f32());
    }
  }
  return all;
}

// a * b that is nearly -c: what is left are the digits that one rounding keeps and two lose.
void cancel(Words& triples) {
  for (size_t i = 0; i + 3 <= triples.size(); i += 9) {
    triples[i] = (triples[i] & 0x007fffffu) | 0x3f800000u;
    triples[i + 1] = 0x3f800000u + (triples[i + 1] & 0xffu);
    triples[i + 2] = (triples[i] | 0x80000000u) + (triples[i + 2] & 0xffu);
  }
}

Words f32_triples(uint32_t seed, size_t count) {
  Words all = triples(seed, count);
  cancel(all);
  return all;
}

// The high halves of two float triples.
Words bf16_triples(uint32_t seed, size_t count) {
  const Words low = f32_triples(seed, count), high = f32_triples(seed + 1, count);
  Words pairs(low.size());
  for (size_t i = 0; i < pairs.size(); ++i) pairs[i] = low[i] >> 16 | (high[i] & 0xffff0000u);
  return pairs;
}

// Around where e^x leaves the normal numbers, and everywhere.
Words exponents(uint32_t seed, size_t size) {
  RandomWords random(seed);
  return words(size, [&] {
    if (random.one_in(4)) return any_f32(random);
    if (random.one_in(4)) {
      const uint32_t magnitude = 0x42ae0000u + random.bits() % 0x50000u;  // 87 .. 89.5
      return magnitude | random.sign();
    }
    return random.f32(-12, 6);
  });
}

// Finite floats of like size: their sum depends on its order.
Words summands(uint32_t seed, size_t size) {
  RandomWords random(seed);
  return words(size, [&] { return random.f32(-4, 4); });
}

// Warps of anything, and warps of hardly anything but zeros and NaNs.
Words rivals(uint32_t seed, size_t size) {
  RandomWords random(seed);
  size_t i = 0;
  return words(size, [&] { return i++ / 32 % 2 == 0 ? random.bits() : random.special_f32() & 0xffc00000u; });
}

// The second word of each pair has few bits, at most one lane's in most places.
Words ballots(uint32_t seed, size_t size) {
  RandomWords random(seed);
  bool few = true;
  return words(size, [&] {
    few = !few;
    const uint32_t word = random.bits();
    return few ? 1u << word % 32 & 1u << (word >> 5) % 32 & 0xffffu : word;
  });
}

void add_numbers(std::vector<Probe>& probes) {
  probes.push_back({"f32_from_bf16", "f32_from_bf16", all_halves(), {}});
  probes.push_back({"f32_from_f16", "f32_from_f16", all_halves(), {}});
  probes.push_back({"bf16_from_f32", "bf16_from_f32", to_narrow(1, 8192), {}});
  probes.push_back({"f16_from_f32", "f16_from_f32", to_narrow(2, 8192), {}});
  probes.push_back({"bf16x2_from_f32", "bf16x2_from_f32", to_narrow(3, 2 * 4096), {}});
  probes.push_back({"f16x2_from_f32", "f16x2_from_f32", to_narrow(4, 2 * 4096), {}});
  probes.push_back({"f32_operators", "f32_operators", f32_triples(5, 4096), {}});
  probes.push_back({"f32_fma", "f32_fma", f32_triples(6, 8192), {}});
  probes.push_back({"square_root", "square_root", to_narrow(7, 8192), {}});
  probes.push_back({"bf16x2_fma", "bf16x2_fma", bf16_triples(8, 8192), {}});
  probes.push_back({"exp_ordered", "exp_ordered", exponents(10, 8192), {}});
  probes.push_back({"silu_ordered", "silu_ordered", exponents(11, 8192), {}});
}

void add_warps(std::vector<Probe>& probes) {
  probes.push_back({"shuffles", "shuffles", random_bits(20, 2 * 512), {}});
  probes.push_back({"votes", "votes", ballots(21, 2 * 2048), {}});
  probes.push_back({"reduce_f32", "reduce_f32", summands(22, 2048), {}});
  probes.push_back({"reduce_max_f32", "reduce_max_f32", rivals(23, 2048), {}});
  probes.push_back({"reduce_integers", "reduce_integers", random_bits(24, 2048), {}});
  probes.push_back({"ldmatrix_x2", "ldmatrix_x2", random_bits(31, 5 * 256), {}});
  probes.push_back({"ldmatrix_x4", "ldmatrix_x4", random_bits(32, 5 * 256), {}});
  probes.push_back({"ldmatrix_x4_trans", "ldmatrix_x4_trans", random_bits(35, 5 * 256), {}});
}

void add_memory(std::vector<Probe>& probes) {
  probes.push_back({"copy_async", "copy_async", random_bits(40, 12 * 256), {}});
  probes.push_back({"wide_memory", "wide_memory", random_bits(41, 8 * 256), {}});
  probes.push_back({"atomics", "atomics", random_bits(42, 256), {}});
  probes.push_back({"acquire_release", "acquire_release", random_bits(43, 512), {}});
  probes.push_back({"last_block", "last_block", random_bits(44, 512), {}});
  probes.push_back({"named_barriers", "named_barriers", random_bits(45, 512), {}});
  probes.push_back({"copy_bulk", "copy_bulk", random_bits(46, 8 * 256), {}});
}

}  // namespace

const std::vector<Probe>& all_probes() {
  static const std::vector<Probe> kProbes = [] {
    std::vector<Probe> probes;
    add_numbers(probes);
    add_warps(probes);
    add_matrices(probes);
    add_memory(probes);
    return probes;
  }();
  return kProbes;
}

}  // namespace halftone::test
