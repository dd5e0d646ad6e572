// The loops of a product, once for every weight format and instruction set. S: the vector primitives (simd/). D: a
// decoder of one block of 16 outputs of packed codes:
//   D(const PackedMatrix&, int64_t block)
//   static constexpr int kStep          inputs in one word of codes
//   void start_group(int64_t group)
//   Word load(int64_t word)             the codes of inputs [word * kStep, word * kStep + kStep)
//   template <int J> S::F value(Word)   the 16 values of input J of the word
// Lanes lie along outputs and inputs run in one order, so an output's bits depend on nothing but its row and x.
#pragma once

#include <cstdint>
#include <utility>

#include "kernels/contract/weight_format.h"
#include "kernels/cpu/linear.h"

namespace halftone {
namespace {

template <class S, class D, int kTokens, int kBlocks>
struct DirectTile {
  using F = typename S::F;
  D decoder[kBlocks];
  const float* x;
  int64_t x_stride;
  F sum[kTokens][kBlocks];

  template <int J>
  [[gnu::always_inline]] inline void input(const typename D::Word (&words)[kBlocks], int64_t c) {
    F w[kBlocks];
#pragma GCC unroll 4
    for (int b = 0; b < kBlocks; ++b) w[b] = decoder[b].template value<J>(words[b]);
#pragma GCC unroll 8
    for (int t = 0; t < kTokens; ++t) {
      F value = S::broadcast(x[t * x_stride + c + J]);
#pragma GCC unroll 4
      for (int b = 0; b < kBlocks; ++b) sum[t][b] = S::fma(w[b], value, sum[t][b]);
    }
  }

  template <int... J>
  [[gnu::always_inline]] inline void whole_word(std::integer_sequence<int, J...>, int64_t word) {
    typename D::Word words[kBlocks];
#pragma GCC unroll 4
    for (int b = 0; b < kBlocks; ++b) words[b] = decoder[b].load(word);
    (input<J>(words, word * D::kStep), ...);
  }

  template <int... J>
  void part_of_word(std::integer_sequence<int, J...>, int64_t word, int64_t inputs) {
    typename D::Word words[kBlocks];
    for (int b = 0; b < kBlocks; ++b) words[b] = decoder[b].load(word);
    ((J < inputs ? input<J>(words, word * D::kStep) : void()), ...);
  }

  void run(const PackedShape& shape) {
    constexpr auto kSteps = std::make_integer_sequence<int, D::kStep>{};
    int64_t group = shape.group > 0 ? shape.group : shape.cols;
    for (int64_t first = 0; first < shape.cols; first += group) {
      int64_t end = first + group < shape.cols ? first + group : shape.cols;
      for (int b = 0; b < kBlocks; ++b) decoder[b].start_group(first / group);
      int64_t word = first / D::kStep;
      for (; (word + 1) * D::kStep <= end; ++word) whole_word(kSteps, word);
      if (word * D::kStep < end) part_of_word(kSteps, word, end - word * D::kStep);
    }
  }
};

template <class S, class D, int kTokens, int kBlocks>
void direct_tile(const PackedMatrix& weights, int64_t block, const float* x, int64_t x_stride, float* out,
                 int64_t out_stride) {
  auto make = [&]<int... B>(std::integer_sequence<int, B...>) {
    return DirectTile<S, D, kTokens, kBlocks>{{D(weights, block + B)...}, x, x_stride, {}};
  };
  auto tile = make(std::make_integer_sequence<int, kBlocks>{});
  tile.run(weights.shape);
  for (int t = 0; t < kTokens; ++t) {
    for (int b = 0; b < kBlocks; ++b) S::store(out + t * out_stride + b * kRowBlock, tile.sum[t][b]);
  }
}

template <class S, class D, int kTokens>
void direct_tokens(const PackedMatrix& weights, int64_t first_block, int64_t blocks, const float* x, int64_t x_stride,
                   float* out, int64_t out_stride) {
  constexpr int kBlocks = S::kTiles && kTokens <= 2 ? 2 : 1;
  int64_t b = 0;
  for (; b + kBlocks <= blocks; b += kBlocks) {
    direct_tile<S, D, kTokens, kBlocks>(weights, first_block + b, x, x_stride, out + b * kRowBlock, out_stride);
  }
  for (; b < blocks; ++b) {
    direct_tile<S, D, kTokens, 1>(weights, first_block + b, x, x_stride, out + b * kRowBlock, out_stride);
  }
}

template <class S, class D>
void direct(const PackedMatrix& weights, int64_t first_block, int64_t blocks, const float* x, int64_t x_stride,
            int64_t tokens, float* out, int64_t out_stride) {
  if constexpr (!S::kTiles) {
    for (int64_t t = 0; t < tokens; ++t) {
      direct_tokens<S, D, 1>(weights, first_block, blocks, x + t * x_stride, x_stride, out + t * out_stride,
                             out_stride);
    }
    return;
  } else {
    switch (tokens) {
      case 1:
        return direct_tokens<S, D, 1>(weights, first_block, blocks, x, x_stride, out, out_stride);
      case 2:
        return direct_tokens<S, D, 2>(weights, first_block, blocks, x, x_stride, out, out_stride);
      case 3:
        return direct_tokens<S, D, 3>(weights, first_block, blocks, x, x_stride, out, out_stride);
      case 4:
        return direct_tokens<S, D, 4>(weights, first_block, blocks, x, x_stride, out, out_stride);
      case 5:
        return direct_tokens<S, D, 5>(weights, first_block, blocks, x, x_stride, out, out_stride);
      default:
        return direct_tokens<S, D, 6>(weights, first_block, blocks, x, x_stride, out, out_stride);
    }
  }
}

template <class S, class D>
void unpack_panel(const PackedMatrix& weights, int64_t block, float* panel) {
  const PackedShape& shape = weights.shape;
  D decoder(weights, block);
  int64_t group = shape.group > 0 ? shape.group : shape.cols;
  for (int64_t first = 0; first < shape.cols; first += group) {
    int64_t end = first + group < shape.cols ? first + group : shape.cols;
    decoder.start_group(first / group);
    for (int64_t word = first / D::kStep; word * D::kStep < end; ++word) {
      auto codes = decoder.load(word);
      auto store = [&]<int... J>(std::integer_sequence<int, J...>) {
        auto one = [&](int64_t c, typename S::F value) {
          if (c < end) S::store(panel + c * kRowBlock, value);
        };
        (one(word * D::kStep + J, decoder.template value<J>(codes)), ...);
      };
      store(std::make_integer_sequence<int, D::kStep>{});
    }
  }
}

template <class S, class D>
constexpr CpuLinearKernels linear_kernels(decltype(CpuLinearKernels::direct_a8) a8 = nullptr) {
  return {.direct = direct<S, D>, .unpack_panel = unpack_panel<S, D>, .direct_a8 = a8};
}

}  // namespace
}  // namespace halftone
