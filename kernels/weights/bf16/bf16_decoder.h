// Decodes bf16 values for the loops of kernels/cpu/linear_body.h: bf16_t values[rows / 16][cols][16].
#pragma once

#include "kernels/contract/weight_format.h"

namespace halftone {
namespace {

template <class S>
struct BF16Decoder {
  using F = typename S::F;
  using Word = F;
  static constexpr int kStep = 1;

  const uint16_t* values;

  BF16Decoder(const PackedMatrix& m, int64_t block)
      : values(reinterpret_cast<const uint16_t*>(m.codes) + block * m.shape.cols * kRowBlock) {}

  void start_group(int64_t) {}
  Word load(int64_t word) const {
    S::prefetch(values + word * kRowBlock + 512);
    return S::load_bf16(values + word * kRowBlock);
  }
  template <int J>
  F value(Word word) const {
    return word;
  }
};

}  // namespace
}  // namespace halftone
