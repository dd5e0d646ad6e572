// Reads w4 codes for the loops of kernels/cpu/linear_body.h (values) and linear_a8_body.h (integers). S: the vector
// primitives.
#pragma once

#include "kernels/cpu/linear.h"
#include "kernels/weights/w4/w4_layout.h"

namespace halftone {
namespace {

template <class S>
struct W4Block {
  using F = typename S::F;
  using I = typename S::I;
  static constexpr int kStep = w4::kWordInputs;

  const std::byte* codes;
  w4::Scales scales;
  AffineGrid::Offset offset;
  int64_t ahead;

  W4Block(const PackedMatrix& m, int64_t block)
      : codes(m.codes + block * w4::words(m.shape) * kRowBlock * 4),
        scales(w4::scales_of(m, block)),
        offset(m.shape.offset),
        ahead(fetch_ahead(w4::words(m.shape) * kRowBlock * 4)) {}

  I load_word(int64_t word) const {
    const std::byte* at = codes + word * (kRowBlock * 4);
    S::prefetch(at + ahead);
    return S::load_i32(at);
  }
  I zeros(int64_t group) const {
    int32_t zero[kRowBlock];
    for (int i = 0; i < kRowBlock; ++i) zero[i] = scales.zero[group * kRowBlock + i];
    return S::load_i32(zero);
  }
};

template <class S>
struct W4Decoder : W4Block<S> {
  using F = typename S::F;
  using Word = typename S::I;
  F scale = S::zero(), minimum = S::zero();

  using W4Block<S>::W4Block;

  void start_group(int64_t group) {
    scale = S::load_f16(this->scales.scale + group * kRowBlock);
    if (this->offset == AffineGrid::Offset::kMinimum) {
      minimum = S::load_f16(this->scales.minimum + group * kRowBlock);
    } else if (this->offset == AffineGrid::Offset::kSymmetric) {
      minimum = S::mul(scale, S::broadcast(-8));
    } else {
      minimum = S::mul(scale, S::sub(S::zero(), S::to_float(this->zeros(group))));
    }
  }
  Word load(int64_t word) const { return this->load_word(word); }
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

template <class S>
struct W4Codes : W4Block<S> {
  using F = typename S::F;
  using I = typename S::I;
  struct Word {
    I low, high;  // bytes: inputs 0 to 3, 4 to 7
  };
  static constexpr int kWords = S::kU4Inputs / w4::kWordInputs;
  F scale = S::zero(), minimum = S::zero();
  I zero = S::zero_int();

  using W4Block<S>::W4Block;

  void start_group(int64_t group) {
    scale = S::load_f16(this->scales.scale + group * kRowBlock);
    if (this->offset == AffineGrid::Offset::kMinimum) {
      minimum = S::load_f16(this->scales.minimum + group * kRowBlock);
    } else if (this->offset == AffineGrid::Offset::kZeroPoint) {
      zero = this->zeros(group);
    }
  }
  Word load(int64_t word) const {
    constexpr int32_t kNibbles = 0x0f0f0f0f;
    I both = this->load_word(word);
    return {S::and_int(both, kNibbles), S::and_int(S::template shift_right<4>(both), kNibbles)};
  }
  static I add(I sum, const Word& w, const int8_t* x) { return S::add_u4(S::add_u4(sum, w.low, x), w.high, x + 4); }
  static I total(I sum) { return S::total_u4(sum); }
  F finish(I dot, float x_scale, int32_t x_sum, F y) const {
    F scaled = S::mul(scale, S::broadcast(x_scale));
    if (this->offset == AffineGrid::Offset::kMinimum) {
      y = S::fma(S::to_float(dot), scaled, y);
      return S::fma(minimum, S::broadcast(x_scale * static_cast<float>(x_sum)), y);
    }
    I shift = this->offset == AffineGrid::Offset::kSymmetric ? S::broadcast_int(8 * x_sum)
                                                             : S::mul_int(zero, S::broadcast_int(x_sum));
    return S::fma(S::to_float(S::sub_int(dot, shift)), scaled, y);
  }
};

}  // namespace
}  // namespace halftone
