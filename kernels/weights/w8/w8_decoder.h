// Reads w8 codes for the loops of kernels/cpu/linear_body.h (values) and linear_a8_body.h (integers). S: the vector
// primitives.
#pragma once

#include "kernels/cpu/linear.h"
#include "kernels/weights/w8/w8_layout.h"

namespace halftone {
namespace {

template <class S>
struct W8Block {
  using F = typename S::F;
  using Word = typename S::I;
  static constexpr int kStep = w8::kWordInputs;

  const std::byte* codes;
  const uint16_t* scales;
  int64_t ahead;
  F scale = S::zero();

  W8Block(const PackedMatrix& m, int64_t block)
      : codes(m.codes + block * w8::words(m.shape) * kRowBlock * 4),
        scales(reinterpret_cast<const uint16_t*>(m.scales) + block * w8::groups(m.shape) * kRowBlock),
        ahead(fetch_ahead(w8::words(m.shape) * kRowBlock * 4)) {}

  void start_group(int64_t group) { scale = S::load_f16(scales + group * kRowBlock); }
  Word load(int64_t word) const {
    const std::byte* at = codes + word * (kRowBlock * 4);
    S::prefetch(at + ahead);
    return S::load_i32(at);
  }
};

template <class S>
struct W8Decoder : W8Block<S> {
  using W8Block<S>::W8Block;

  template <int J>
  typename S::F value(typename S::I word) const {
    typename S::I code = S::template shift_right_signed<24>(S::template shift_left<24 - 8 * J>(word));
    return S::mul(S::to_float(code), this->scale);
  }
};

template <class S>
struct W8Codes : W8Block<S> {
  using F = typename S::F;
  using I = typename S::I;
  static constexpr int kWords = 1 << 24;  // 32-bit sums hold any row
  using W8Block<S>::W8Block;

  static I add(I sum, I w, const int8_t* x) { return S::add_s8(sum, w, x); }
  static I total(I sum) { return sum; }
  F finish(I dot, float x_scale, int32_t x_sum, F y) const {
    I exact = S::kS8Bias == 0 ? dot : S::sub_int(dot, S::broadcast_int(S::kS8Bias * x_sum));
    return S::fma(S::to_float(exact), S::mul(this->scale, S::broadcast(x_scale)), y);
  }
};

}  // namespace
}  // namespace halftone
