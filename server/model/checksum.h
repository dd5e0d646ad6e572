// A checksum of many bytes at the speed of memory: finds damage, not malice. Four sums of 64 bits take turns over words
// of 8 bytes; each step is one-to-one in the word and in the sum, so a single changed word always shows. One thread.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace halftone {

class Checksum {
 public:
  static constexpr size_t kStripe = 32;

  // All but the last call's bytes are whole stripes.
  void add(std::span<const std::byte> bytes) {
    size_ += bytes.size();
    while (bytes.size() >= kStripe) {
      for (size_t i = 0; i < 4; ++i) mix(i, bytes.data() + i * 8);
      bytes = bytes.subspan(kStripe);
    }
    std::byte rest[kStripe] = {};
    if (bytes.empty()) return;
    std::memcpy(rest, bytes.data(), bytes.size());
    for (size_t i = 0; i < 4; ++i) mix(i, rest + i * 8);
  }

  uint64_t value() const {
    uint64_t all = size_;
    for (uint64_t sum : sums_) {
      all = (all ^ sum) * kOdd;
      all ^= all >> 29;
    }
    return all;
  }

 private:
  static constexpr uint64_t kOdd = 0x9e3779b97f4a7c15;

  void mix(size_t i, const std::byte* at) {
    uint64_t word;
    std::memcpy(&word, at, sizeof word);
    sums_[i] = std::rotl((sums_[i] ^ word) * kOdd, 31);
  }

  uint64_t sums_[4] = {1, 2, 3, 4};
  uint64_t size_ = 0;
};

}  // namespace halftone
