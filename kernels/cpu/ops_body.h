// Bodies of CpuOps but for attention, over the vector primitives S.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "kernels/contract/exp.h"
#include "kernels/cpu/cpu_ops.h"

namespace halftone {
namespace {

// x[0, n) by sixteen lanes, the missing ones of the last vector filled.
template <class S>
typename S::F load_part(const float* x, int64_t n, float fill) {
  float lanes[S::kLanes];
  for (int64_t i = 0; i < S::kLanes; ++i) lanes[i] = i < n ? x[i] : fill;
  return S::load(lanes);
}

template <class S>
void store_part(float* y, typename S::F value, int64_t n) {
  float lanes[S::kLanes];
  S::store(lanes, value);
  for (int64_t i = 0; i < n; ++i) y[i] = lanes[i];
}

// 1 / sqrt(mean square + epsilon).
template <class S>
float inverse_rms(const float* x, float epsilon, int64_t n) {
  typename S::F squares = S::zero();
  int64_t c = 0;
  for (; c + S::kLanes <= n; c += S::kLanes) {
    typename S::F v = S::load(x + c);
    squares = S::fma(v, v, squares);
  }
  if (c < n) {
    typename S::F v = load_part<S>(x + c, n - c, 0);
    squares = S::fma(v, v, squares);
  }
  return 1.0f / std::sqrt(S::reduce_add(squares) / static_cast<float>(n) + epsilon);
}

template <class S>
void rms_norm(const float* x, const float* weight, float epsilon, int64_t n, float* y) {
  float inverse = inverse_rms<S>(x, epsilon, n);
  typename S::F inverses = S::broadcast(inverse);
  int64_t c = 0;
  for (; c + S::kLanes <= n; c += S::kLanes) {
    S::store(y + c, S::mul(S::mul(S::load(x + c), inverses), S::load(weight + c)));
  }
  for (; c < n; ++c) y[c] = (x[c] * inverse) * weight[c];
}

template <class S>
void add_rms_norm(const float* x, const float* weight, float epsilon, int64_t n, float* y) {
  float inverse = inverse_rms<S>(x, epsilon, n);
  typename S::F inverses = S::broadcast(inverse);
  int64_t c = 0;
  for (; c + S::kLanes <= n; c += S::kLanes) {
    S::store(y + c, S::add(S::load(y + c), S::mul(S::mul(S::load(x + c), inverses), S::load(weight + c))));
  }
  for (; c < n; ++c) y[c] = y[c] + (x[c] * inverse) * weight[c];
}

template <class S, int kTokens>
void panel_tile(const float* panel, int64_t cols, const float* x, int64_t x_stride, float* out, int64_t out_stride) {
  typename S::F sum[kTokens];
#pragma GCC unroll 8
  for (int t = 0; t < kTokens; ++t) sum[t] = S::zero();
  for (int64_t c = 0; c < cols; ++c) {
    typename S::F w = S::load(panel + c * kRowBlock);
#pragma GCC unroll 8
    for (int t = 0; t < kTokens; ++t) sum[t] = S::fma(w, S::broadcast(x[t * x_stride + c]), sum[t]);
  }
#pragma GCC unroll 8
  for (int t = 0; t < kTokens; ++t) S::store(out + t * out_stride, sum[t]);
}

template <class S>
void multiply_panel(const float* panel, int64_t cols, const float* x, int64_t x_stride, int64_t tokens, float* out,
                    int64_t out_stride) {
  if constexpr (!S::kTiles) {
    for (int64_t t = 0; t < tokens; ++t)
      panel_tile<S, 1>(panel, cols, x + t * x_stride, x_stride, out + t * out_stride, out_stride);
    return;
  } else {
    switch (tokens) {
      case 1:
        return panel_tile<S, 1>(panel, cols, x, x_stride, out, out_stride);
      case 2:
        return panel_tile<S, 2>(panel, cols, x, x_stride, out, out_stride);
      case 3:
        return panel_tile<S, 3>(panel, cols, x, x_stride, out, out_stride);
      case 4:
        return panel_tile<S, 4>(panel, cols, x, x_stride, out, out_stride);
      case 5:
        return panel_tile<S, 5>(panel, cols, x, x_stride, out, out_stride);
      default:
        return panel_tile<S, 6>(panel, cols, x, x_stride, out, out_stride);
    }
  }
}

// The scale that brings n values into +-127: amax / 127. Too small for its inverse: 0. Something is not finite: NaN.
template <class S>
float a8_scale(const float* x, int64_t n) {
  typename S::F largest = S::zero(), poison = S::zero();
  auto see = [&](typename S::F v) {
    largest = S::max(S::max(v, S::sub(S::zero(), v)), largest);
    poison = S::fma(v, S::zero(), poison);
  };
  int64_t i = 0;
  for (; i + S::kLanes <= n; i += S::kLanes) see(S::load(x + i));
  if (i < n) see(load_part<S>(x + i, n - i, 0));
  float lanes[S::kLanes], amax = S::reduce_add(poison);
  S::store(lanes, largest);
  for (float lane : lanes) amax = lane > amax ? lane : amax;
  return amax < kA8Least ? 0 : amax / 127;
}

template <class S>
void quantize(const float* x, int64_t n, int64_t segment, bool one_scale, int8_t* codes, float* scale, int32_t* sum) {
  float whole = one_scale ? a8_scale<S>(x, n) : 0;
  for (int64_t first = 0; first < n; first += segment) {
    int64_t count = segment < n - first ? segment : n - first;
    float step = one_scale ? whole : a8_scale<S>(x + first, count);
    typename S::F inverse = S::broadcast(step > 0 ? 1 / step : 0);
    typename S::I total = S::zero_int();
    if (!(step > 0)) {  // zero or NaN
      std::memset(codes + first, 0, static_cast<size_t>(count));
    } else {
      int64_t i = 0;
      for (; i + S::kLanes <= count; i += S::kLanes) {
        typename S::I code = S::round_int(S::mul(S::load(x + first + i), inverse));
        total = S::add_int(total, code);
        S::store_s8(codes + first + i, code);
      }
      if (i < count) {
        typename S::I code = S::round_int(S::mul(load_part<S>(x + first + i, count - i, 0), inverse));
        total = S::add_int(total, code);
        int8_t lanes[S::kLanes];
        S::store_s8(lanes, code);
        std::memcpy(codes + first + i, lanes, static_cast<size_t>(count - i));
      }
    }
    *scale++ = step;
    *sum++ = S::reduce_add_int(total);
  }
}

// y = f(x, y) for n values.
template <class S, typename Function>
void each_pair(const float* x, int64_t n, float* y, Function f) {
  int64_t i = 0;
  for (; i + S::kLanes <= n; i += S::kLanes) S::store(y + i, f(S::load(x + i), S::load(y + i)));
  if (i < n) store_part<S>(y + i, f(load_part<S>(x + i, n - i, 0), load_part<S>(y + i, n - i, 0)), n - i);
}

template <class S>
void gate(GateKind kind, const float* gates, int64_t n, float* y) {
  using F = typename S::F;
  if (kind == GateKind::kSilu) {
    each_pair<S>(gates, n, y, [](F g, F v) { return S::mul(silu_ordered<S>(g), v); });
  } else {
    each_pair<S>(gates, n, y, [](F g, F v) { return S::mul(gelu_tanh_ordered<S>(g), v); });
  }
}

template <class S>
void cap(float limit, int64_t n, float* y) {
  using F = typename S::F;
  const F limits = S::broadcast(limit);
  each_pair<S>(y, n, y, [limits](F v, F) { return cap_ordered<S>(v, limits); });
}

template <class S>
void rope(const RopeStoreCall& call, const float* norm, int64_t heads, int64_t head_dim, int64_t position, float* x) {
  int64_t half = (call.rotated > 0 ? call.rotated : head_dim) / 2;
  const float* cosines = call.cosines + position * half;
  const float* sines = call.sines + position * half;
  for (int64_t head = 0; head < heads; ++head, x += head_dim) {
    if (norm != nullptr) rms_norm<S>(x, norm, call.rms_epsilon, head_dim, x);
    for (int64_t i = 0; i < half; ++i) {
      float a = x[i], b = x[i + half];
      x[i] = std::fma(a, cosines[i], -(b * sines[i]));
      x[i + half] = std::fma(b, cosines[i], a * sines[i]);
    }
  }
}

template <class S>
float maximum(const float* x, int64_t n) {
  typename S::F best = S::broadcast(-HUGE_VALF);
  int64_t i = 0;
  for (; i + S::kLanes <= n; i += S::kLanes) best = S::max(S::load(x + i), best);
  if (i < n) best = S::max(load_part<S>(x + i, n - i, -HUGE_VALF), best);
  float lanes[S::kLanes];
  S::store(lanes, best);
  float result = lanes[0];
  for (float lane : lanes) result = lane > result ? lane : result;
  return result;
}

template <class S>
float sum_exp(const float* x, int64_t n, float scale, float shift) {
  typename S::F sum = S::zero(), scales = S::broadcast(scale), shifts = S::broadcast(shift);
  int64_t i = 0;
  for (; i + S::kLanes <= n; i += S::kLanes) {
    sum = S::add(sum, exp_ordered<S>(S::sub(S::mul(S::load(x + i), scales), shifts)));
  }
  if (i < n) {
    typename S::F last = exp_ordered<S>(S::sub(S::mul(load_part<S>(x + i, n - i, 0), scales), shifts));
    float lanes[S::kLanes];
    S::store(lanes, last);
    sum = S::add(sum, load_part<S>(lanes, n - i, 0));
  }
  return S::reduce_add(sum);
}

template <class S>
int64_t count_greater(const float* x, int64_t n, float than) {
  typename S::F limit = S::broadcast(than);
  int64_t count = 0, i = 0;
  for (; i + S::kLanes <= n; i += S::kLanes) count += __builtin_popcount(S::bits(S::less(limit, S::load(x + i))));
  for (; i < n; ++i) count += x[i] > than ? 1 : 0;
  return count;
}

template <class S>
void scan_greater(const float* x, int64_t n, const float* than, void (*found)(void* context, int64_t index),
                  void* context) {
  int64_t i = 0;
  for (; i + S::kLanes <= n; i += S::kLanes) {
    uint32_t bits = S::bits(S::less(S::broadcast(*than), S::load(x + i)));
    for (; bits != 0; bits &= bits - 1) {
      int64_t index = i + __builtin_ctz(bits);
      if (x[index] > *than) found(context, index);
    }
  }
  for (; i < n; ++i) {
    if (x[i] > *than) found(context, i);
  }
}

}  // namespace
}  // namespace halftone
