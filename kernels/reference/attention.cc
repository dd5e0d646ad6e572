#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include "kernels/contract/exp.h"
#include "kernels/reference/lane_sum.h"
#include "kernels/reference/operations.h"
#include "kernels/reference/stored_kv.h"

namespace halftone::reference {
namespace {

constexpr int64_t kSplit = 256;  // absolute positions: the cuts do not depend on chunks or windows

// Softmax not yet divided: the weights were exp(score - max), `sum` is their sum, `out` their sum of values.
struct Partial {
  float max = 0;
  float sum = 0;
  std::vector<float> out;  // [head_dim]
};

struct Query {
  const float* q;  // [head_dim]
  int64_t head_dim;
  float scale;
  float cap;
  const float* sink;  // of its head; null: none
};

float score(const Query& query, const float* key) {
  float dot = 0;
  for (int64_t d = 0; d < query.head_dim; ++d) dot = std::fma(query.q[d], key[d], dot);
  const float score = dot * query.scale;
  return query.cap != 0 ? cap_ordered(score, query.cap) : score;
}

// Positions [first, end) of one split, end > first.
Partial attend_split(const Query& query, const StoredHead& stored, int64_t first, int64_t end) {
  std::vector<float> weights;
  for (int64_t t = first; t < end; ++t)
    weights.push_back(score(query, &stored.keys[static_cast<size_t>(t * query.head_dim)]));
  Partial partial;
  partial.max = *std::max_element(weights.begin(), weights.end());
  LaneSum sum;
  for (int64_t t = first; t < end; ++t) {
    float& weight = weights[static_cast<size_t>(t - first)];
    weight = exp_ordered(weight - partial.max);
    sum.add(t % kSplit, weight);
  }
  partial.sum = sum.total();
  partial.out.assign(static_cast<size_t>(query.head_dim), 0.0f);
  for (int64_t t = first; t < end; ++t) {
    const float* value = &stored.values[static_cast<size_t>(t * query.head_dim)];
    for (int64_t d = 0; d < query.head_dim; ++d) {
      float& out = partial.out[static_cast<size_t>(d)];
      out = std::fma(weights[static_cast<size_t>(t - first)], value[d], out);
    }
  }
  return partial;
}

void merge(const Partial& split, Partial& all) {
  const float max = std::max(all.max, split.max);
  const float a = exp_ordered(all.max - max), b = exp_ordered(split.max - max);
  all.max = max;
  all.sum = std::fma(split.sum, b, all.sum * a);
  for (size_t d = 0; d < all.out.size(); ++d) all.out[d] = std::fma(split.out[d], b, all.out[d] * a);
}

void attend(const Query& query, const StoredHead& stored, int64_t position, int64_t window, float* y) {
  std::optional<Partial> all;
  for (int64_t t = first_visible(position, window); t <= position;) {
    const int64_t end = std::min((t / kSplit + 1) * kSplit, position + 1);
    Partial split = attend_split(query, stored, t, end);
    if (all) {
      merge(split, *all);
    } else {
      all = std::move(split);
    }
    t = end;
  }
  if (query.sink != nullptr) {
    merge({*query.sink, 1, std::vector<float>(static_cast<size_t>(query.head_dim), 0.0f)}, *all);
  }
  for (int64_t d = 0; d < query.head_dim; ++d) y[d] = all->out[static_cast<size_t>(d)] / all->sum;
}

}  // namespace

void attention(const StepBatch& batch, const AttentionCall& call) {
  const int64_t head_dim = call.kv.shape().head_dim, group = call.heads / call.kv.shape().kv_heads;
  for (const AttentionSequence& sequence : batch.sequences) {
    for (int64_t kv_head = 0; kv_head < call.kv.shape().kv_heads; ++kv_head) {
      const StoredHead stored = load_stored_head(call.kv, sequence, kv_head, sequence.first_position + sequence.tokens);
      for (int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
        for (int64_t i = 0; i < sequence.tokens; ++i) {
          const int64_t row = sequence.first_token + i;
          const Query query{call.q.f32(row) + head * head_dim, head_dim, call.scale, call.cap,
                            call.sinks != nullptr ? call.sinks + head : nullptr};
          attend(query, stored, sequence.first_position + i, call.window, call.y.f32(row) + head * head_dim);
        }
      }
    }
  }
}

}  // namespace halftone::reference
