// Decodes w4 codes for the loops of kernels/cpu/linear_body.h. S: the vector primitives.
#pragma once

#include "kernels/weights/w4/w4_layout.h"

namespace halftone {
namespace {

template <class S>
struct W4Decoder {
  using F = typename S::F;
  using Word = typename S::I;
  static constexpr int kStep = w4::kWordInputs;

  const std::byte* codes;
  w4::Scales scales;
  AffineGrid::Offset offset;
  F scale = S::zero(), minimum = S::zero();

  W4Decoder(const PackedMatrix& m, int64_t block)
      : codes(m.codes + block * w4::words(m.shape) * kRowBlock * 4),
        scales(w4::scales_of(m, block)),
        offset(m.shape.offset) {}

  void start_group(int64_t group) {
    scale = S::load_f16(scales.scale + group * kRowBlock);
    if (offset == AffineGrid::Offset::kMinimum) {
      minimum = S::load_f16(scales.minimum + group * kRowBlock);
    } else if (offset == AffineGrid::Offset::kSymmetric) {
      minimum = S::mul(scale, S::broadcast(-8));
    } else {
      float zero[kRowBlock];
      for (int i = 0; i < kRowBlock; ++i) zero[i] = -static_cast<float>(scales.zero[group * kRowBlock + i]);
      minimum = S::mul(scale, S::load(zero));
    }
  }
  Word load(int64_t word) const {
    const std::byte* at = codes + word * (kRowBlock * 4);
    S::prefetch(at + 1024);
    return S::load_i32(at);
  }
  template <int J>
  F value(Word word) const {
    constexpr int kShift = w4::nibble_shift(J);
    Word code;
    if constexpr (kShift == 28) {
      code = S::template shift_right<28>(word);
    } else {
      code = S::and_int(S::template shift_right<kShift>(word), 15);
    }
    return S::fma(S::to_float(code), scale, minimum);
  }
};

}  // namespace
}  // namespace halftone
