// The loops of a product with int8 activations, once for every format with codes and every instruction set. S: the
// vector primitives (simd/). D: the codes of one block of 16 outputs:
//   D(const PackedMatrix&, int64_t block)
//   static constexpr int kStep, kWords     inputs in a word; so many words may be added up before total()
//   void start_group(int64_t group)
//   Word load(int64_t word)                the codes of inputs [word * kStep, word * kStep + kStep)
//   static S::I add(S::I sum, const Word&, const int8_t* x)     sum + codes * x, in the format's own partial sums
//   static S::I total(S::I sum)            as 32-bit integers
//   S::F finish(S::I dot, float scale, int32_t sum, S::F y)     y + scale * what the integers stand for
// All is exact up to finish(), which runs once for each segment, in ascending order.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>

#include "kernels/contract/weight_format.h"
#include "kernels/cpu/linear.h"

namespace halftone {
namespace {

template <class S, class D, int kTokens, int kBlocks>
struct A8Tile {
  using I = typename S::I;
  D codes[kBlocks];
  const QuantizedRows& x;
  typename S::F y[kTokens][kBlocks];

  // Adds the products of inputs [word * kStep, end) into `dot`, a run of kWords words after the other.
  void add_products(int64_t word, int64_t end, I (&dot)[kTokens][kBlocks]) {
    for (int64_t words = (end + D::kStep - 1) / D::kStep; word < words;) {
      int64_t last = std::min<int64_t>(words, word + D::kWords);
      I sum[kTokens][kBlocks];
#pragma GCC unroll 4
      for (int t = 0; t < kTokens; ++t) {
#pragma GCC unroll 4
        for (int b = 0; b < kBlocks; ++b) sum[t][b] = S::zero_int();
      }
      for (; word < last; ++word) {
        typename D::Word w[kBlocks];
#pragma GCC unroll 4
        for (int b = 0; b < kBlocks; ++b) w[b] = codes[b].load(word);
#pragma GCC unroll 4
        for (int t = 0; t < kTokens; ++t) {
#pragma GCC unroll 4
          for (int b = 0; b < kBlocks; ++b) {
            sum[t][b] = D::add(sum[t][b], w[b], x.codes + t * x.stride + word * D::kStep);
          }
        }
      }
#pragma GCC unroll 4
      for (int t = 0; t < kTokens; ++t) {
#pragma GCC unroll 4
        for (int b = 0; b < kBlocks; ++b) dot[t][b] = S::add_int(dot[t][b], D::total(sum[t][b]));
      }
    }
  }

  void run(int64_t group) {
    for (int64_t s = 0; s < x.segments; ++s) {
      int64_t first = s * x.segment, end = std::min(first + x.segment, x.cols);
      for (int b = 0; b < kBlocks; ++b) codes[b].start_group(first / group);
      I dot[kTokens][kBlocks];
      for (int t = 0; t < kTokens; ++t) {
        for (int b = 0; b < kBlocks; ++b) dot[t][b] = S::zero_int();
      }
      add_products(first / D::kStep, end, dot);
#pragma GCC unroll 4
      for (int t = 0; t < kTokens; ++t) {
        float scale = x.scale[t * x.segments + s];
        int32_t sum = x.sum[t * x.segments + s];
#pragma GCC unroll 4
        for (int b = 0; b < kBlocks; ++b) y[t][b] = codes[b].finish(dot[t][b], scale, sum, y[t][b]);
      }
    }
  }
};

template <class S, class D, int kTokens, int kBlocks>
void a8_tile(const PackedMatrix& weights, int64_t block, const QuantizedRows& x, float* out, int64_t out_stride) {
  auto make = [&]<int... B>(std::integer_sequence<int, B...>) {
    return A8Tile<S, D, kTokens, kBlocks>{{D(weights, block + B)...}, x, {}};
  };
  auto tile = make(std::make_integer_sequence<int, kBlocks>{});
  tile.run(weights.shape.group);
  for (int t = 0; t < kTokens; ++t) {
    for (int b = 0; b < kBlocks; ++b) S::store(out + t * out_stride + b * kRowBlock, tile.y[t][b]);
  }
}

template <class S, class D, int kTokens>
void a8_tokens(const PackedMatrix& weights, int64_t first_block, int64_t blocks, const QuantizedRows& x, float* out,
               int64_t out_stride) {
  constexpr int kBlocks = S::template kA8Blocks<kTokens>;
  int64_t b = 0;
  for (; b + kBlocks <= blocks; b += kBlocks) {
    a8_tile<S, D, kTokens, kBlocks>(weights, first_block + b, x, out + b * kRowBlock, out_stride);
  }
  for (; b < blocks; ++b) a8_tile<S, D, kTokens, 1>(weights, first_block + b, x, out + b * kRowBlock, out_stride);
}

template <class S, class D>
void direct_a8(const PackedMatrix& weights, int64_t first_block, int64_t blocks, const QuantizedRows& x, int64_t tokens,
               float* out, int64_t out_stride) {
  static_assert(kA8Tokens == 4);
  if constexpr (!S::kTiles) {
    for (int64_t t = 0; t < tokens; ++t) {
      a8_tokens<S, D, 1>(weights, first_block, blocks, x.from(t), out + t * out_stride, out_stride);
    }
  } else {
    switch (tokens) {
      case 1:
        return a8_tokens<S, D, 1>(weights, first_block, blocks, x, out, out_stride);
      case 2:
        return a8_tokens<S, D, 2>(weights, first_block, blocks, x, out, out_stride);
      case 3:
        return a8_tokens<S, D, 3>(weights, first_block, blocks, x, out, out_stride);
      default:
        return a8_tokens<S, D, 4>(weights, first_block, blocks, x, out, out_stride);
    }
  }
}

}  // namespace
}  // namespace halftone
