// Attention of a tile of query rows to one split of 256 positions, over the vector primitives S.
// Scores have tokens along the lanes, values have head dimensions along the lanes: nothing is added across lanes but
// the sum of a row's weights, by sixteen named lanes and one tree.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/contract/exp.h"
#include "kernels/cpu/cpu_ops.h"

namespace halftone {
namespace {

struct Span {
  int64_t first = 0, end = 0;
  bool empty() const { return first >= end; }
};

inline int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
inline int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

template <class S>
class SplitAttention {
 public:
  using F = typename S::F;
  using LoadPage = void (*)(const KvLayer&, const std::byte* data, int64_t head, float* out);

  SplitAttention(const AttentionTile& tile, int64_t split, LoadPage load_keys, LoadPage load_values, float* scratch)
      : call_(*tile.call),
        tile_(tile),
        layer_(*tile.layer),
        load_keys_(load_keys),
        load_values_(load_values),
        group_(call_.heads / layer_.kv_heads),
        rows_(tile.tokens * group_),
        begin_(split * kSplitPositions),
        scores_(scratch),
        page_(scratch + rows_ * kSplitPositions) {}

  void run(AttentionPartial* partials, float* values) {
    Span seen = {visible(0).first, visible(rows_ - 1).end};  // later tokens see later positions
    for (int64_t row = 0; row < rows_; ++row) partials[row].empty = visible(row).empty();
    if (seen.empty()) return;
    each_page(seen, [&](int64_t page_begin, const std::byte* data) {
      load_keys_(layer_, data, tile_.kv_head, page_);
      score_page(page_begin);
    });
    for (int64_t row = 0; row < rows_; ++row) {
      if (!partials[row].empty) weigh(row, &partials[row]);
    }
    int64_t padded = padded_head_dim(layer_.head_dim);
    for (int64_t i = 0; i < rows_ * padded; i += S::kLanes) S::store(values + i, S::zero());
    each_page(seen, [&](int64_t page_begin, const std::byte* data) {
      load_values_(layer_, data, tile_.kv_head, page_);
      for (int64_t row = 0; row < rows_; ++row) add_values(row, page_begin, values + row * padded);
    });
  }

 private:
  // Positions of this split that a row's token sees.
  Span visible(int64_t row) const {
    int64_t position = tile_.sequence->first_position + tile_.first + row / group_;
    int64_t first = call_.window > 0 ? larger(0, position - call_.window + 1) : 0;
    return {larger(first, begin_), smaller(position + 1, begin_ + kSplitPositions)};
  }

  const float* query(int64_t row) const {
    int64_t token = tile_.sequence->first_token + tile_.first + row / group_;
    return call_.q.f32(token) + (tile_.kv_head * group_ + row % group_) * layer_.head_dim;
  }

  template <typename Work>
  void each_page(Span seen, Work work) {
    int64_t tokens = layer_.page_tokens;
    for (int64_t page = seen.first / tokens; page * tokens < seen.end; ++page) {
      int64_t id = tile_.sequence->pages[static_cast<size_t>(page)];
      work(page * tokens, call_.kv.arena + static_cast<size_t>(id) * call_.kv.layout->page_bytes + layer_.offset);
    }
  }

  template <int kRows>
  void score_rows(int64_t first_row, int64_t lane0, int64_t page_begin) {
    const float* q[kRows];
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) q[r] = query(first_row + r);
    F sum[kRows];
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) sum[r] = S::zero();
    for (int64_t d = 0; d < layer_.head_dim; ++d) {
      F keys = S::load(page_ + d * layer_.page_tokens + lane0);
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) sum[r] = S::fma(S::broadcast(q[r][d]), keys, sum[r]);
    }
    F scale = S::broadcast(call_.scale);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      F scores = S::mul(sum[r], scale);
      if (call_.cap != 0) scores = cap_ordered<S>(scores, S::broadcast(call_.cap));
      S::store(scores_ + (first_row + r) * kSplitPositions + (page_begin - begin_) + lane0, scores);
    }
  }

  void score_page(int64_t page_begin) {
    for (int64_t lane0 = 0; lane0 < layer_.page_tokens; lane0 += S::kLanes) {
      if (page_begin + lane0 < begin_ || page_begin + lane0 >= begin_ + kSplitPositions) continue;
      int64_t row = 0;
      for (; row + 4 <= rows_; row += 4) score_rows<4>(row, lane0, page_begin);
      for (; row + 3 <= rows_; row += 3) score_rows<3>(row, lane0, page_begin);
      for (; row < rows_; ++row) score_rows<1>(row, lane0, page_begin);
    }
  }

  // Scores become weights exp(score - maximum); what the row does not see becomes 0.
  void weigh(int64_t row, AttentionPartial* partial) {
    Span seen = visible(row);
    float* scores = scores_ + row * kSplitPositions - begin_;
    int64_t first = seen.first / S::kLanes * S::kLanes, end = (seen.end + S::kLanes - 1) / S::kLanes * S::kLanes;
    for (int64_t t = first; t < seen.first; ++t) scores[t] = -HUGE_VALF;
    for (int64_t t = seen.end; t < end; ++t) scores[t] = -HUGE_VALF;
    F best = S::broadcast(-HUGE_VALF);
    for (int64_t t = first; t < end; t += S::kLanes) best = S::max(S::load(scores + t), best);
    float lanes[S::kLanes];
    S::store(lanes, best);
    float maximum = lanes[0];
    for (float lane : lanes) maximum = lane > maximum ? lane : maximum;
    F sum = S::zero(), shift = S::broadcast(maximum);
    for (int64_t t = first; t < end; t += S::kLanes) {
      F weight = exp_ordered<S>(S::sub(S::load(scores + t), shift));
      S::store(scores + t, weight);
      sum = S::add(sum, weight);
    }
    partial->maximum = maximum;
    partial->sum = S::reduce_add(sum);
  }

  template <int kVectors>
  void add_dims(const float* weights, const float* page, int64_t tokens, float* into) {
    F sum[kVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) sum[v] = S::load(into + v * S::kLanes);
    for (int64_t t = 0; t < tokens; ++t) {
      F weight = S::broadcast(weights[t]);
      const float* value = page + t * layer_.head_dim;
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) sum[v] = S::fma(weight, S::load(value + v * S::kLanes), sum[v]);
    }
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) S::store(into + v * S::kLanes, sum[v]);
  }

  void add_values(int64_t row, int64_t page_begin, float* into) {
    Span seen = visible(row);
    int64_t first = larger(seen.first, page_begin), end = smaller(seen.end, page_begin + layer_.page_tokens);
    if (first >= end) return;
    const float* weights = scores_ + row * kSplitPositions + (first - begin_);
    const float* page = page_ + (first - page_begin) * layer_.head_dim;
    int64_t d = 0;
    for (; d + 4 * S::kLanes <= layer_.head_dim; d += 4 * S::kLanes)
      add_dims<4>(weights, page + d, end - first, into + d);
    for (; d < layer_.head_dim; d += S::kLanes) add_dims<1>(weights, page + d, end - first, into + d);
  }

  const AttentionCall& call_;
  const AttentionTile& tile_;
  const KvLayer& layer_;
  LoadPage load_keys_, load_values_;
  int64_t group_, rows_, begin_;
  float* scores_;  // [rows][256], then weights
  float* page_;    // one head of one page, and 16 floats that may be read
};

template <class S>
void merge(AttentionPartial* into, float* into_values, const AttentionPartial& next, const float* next_values,
           int64_t head_dim) {
  if (next.empty) return;
  int64_t padded = padded_head_dim(head_dim);
  if (into->empty) {
    *into = next;
    for (int64_t d = 0; d < padded; d += S::kLanes) S::store(into_values + d, S::load(next_values + d));
    return;
  }
  float maximum = next.maximum > into->maximum ? next.maximum : into->maximum;
  typename S::F factors[2] = {exp_ordered<S>(S::broadcast(into->maximum - maximum)),
                              exp_ordered<S>(S::broadcast(next.maximum - maximum))};
  for (int64_t d = 0; d < padded; d += S::kLanes) {
    S::store(into_values + d,
             S::fma(S::load(next_values + d), factors[1], S::mul(S::load(into_values + d), factors[0])));
  }
  typename S::F sum = S::fma(S::broadcast(next.sum), factors[1], S::mul(S::broadcast(into->sum), factors[0]));
  float lanes[S::kLanes];
  S::store(lanes, sum);
  *into = {maximum, lanes[0], false};
}

}  // namespace
}  // namespace halftone
