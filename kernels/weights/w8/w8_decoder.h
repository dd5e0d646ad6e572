// Decodes w8 codes for the loops of kernels/cpu/linear_body.h. S: the vector primitives.
#pragma once

#include "kernels/weights/w8/w8_layout.h"

namespace halftone {
namespace {

template <class S>
struct W8Decoder {
  using F = typename S::F;
  using Word = typename S::I;
  static constexpr int kStep = w8::kWordInputs;

  const std::byte* codes;
  const uint16_t* scales;
  F scale = S::zero();

  W8Decoder(const PackedMatrix& m, int64_t block)
      : codes(m.codes + block * w8::words(m.shape) * kRowBlock * 4),
        scales(reinterpret_cast<const uint16_t*>(m.scales) + block * w8::groups(m.shape) * kRowBlock) {}

  void start_group(int64_t group) { scale = S::load_f16(scales + group * kRowBlock); }
  Word load(int64_t word) const {
    const std::byte* at = codes + word * (kRowBlock * 4);
    S::prefetch(at + 1024);
    return S::load_i32(at);
  }
  template <int J>
  F value(Word word) const {
    Word code = S::template shift_right_signed<24>(S::template shift_left<24 - 8 * J>(word));
    return S::mul(S::to_float(code), scale);
  }
};

}  // namespace
}  // namespace halftone
