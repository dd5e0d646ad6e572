#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/reference/exact.h"
#include "kernels/reference/stored_kv.h"

namespace halftone::reference {
namespace {

constexpr double kU = kFloatRounding;

struct Query {
  const float* q;  // [head_dim]
  int64_t head_dim;
  double scale;
  double cap;
  const float* sink;  // of its head; null: none
};

struct Scores {
  std::vector<double> values;
  double max = -std::numeric_limits<double>::infinity();
  double spread = 0;  // max minus the least, as far as a weight can be seen beside 1
  double error = 0;   // of the worst
};

Scores score(const Query& query, const StoredHead& stored, int64_t first, int64_t end) {
  Scores scores;
  for (int64_t t = first; t < end; ++t) {
    const float* key = &stored.keys[static_cast<size_t>(t * query.head_dim)];
    double dot = 0, terms = 0;
    for (int64_t d = 0; d < query.head_dim; ++d) {
      const double term = static_cast<double>(query.q[d]) * key[d];
      dot += term;
      terms += std::fabs(term);
    }
    double score = dot * query.scale;
    double error = terms * std::fabs(query.scale) * static_cast<double>(query.head_dim + 1) * kU;
    if (query.cap != 0) {  // no steeper than 1; 8 roundings of the result
      score = query.cap * std::tanh(score / query.cap);
      error += 8 * kU * (std::fabs(score) + error);
    }
    scores.values.push_back(score);
    scores.max = std::max(scores.max, score);
    scores.error = std::max(scores.error, error);
  }
  if (query.sink != nullptr) scores.max = std::max(scores.max, static_cast<double>(*query.sink));
  for (double value : scores.values) scores.spread = std::max(scores.spread, std::min(104.0, scores.max - value));
  return scores;
}

// out: [head_dim].
void attend(const Query& query, const StoredHead& stored, int64_t first, int64_t end, Bounded* out) {
  Scores scores = score(query, stored, first, end);
  double sum = query.sink != nullptr ? std::exp(*query.sink - scores.max) : 0;
  for (double& value : scores.values) sum += value = std::exp(value - scores.max);
  // Each weight is an exp of a rounded difference of two scores, rescaled at most twice for each split of at least 16
  // terms.
  const double of_weight = 2 * (2 * scores.error + scores.spread * kU) + 16 * kU;
  const double of_sums = static_cast<double>(end - first + 1) * 2 * kU;
  for (int64_t d = 0; d < query.head_dim; ++d) {
    double value = 0, terms = 0;
    for (int64_t t = first; t < end; ++t) {
      const double term =
          scores.values[static_cast<size_t>(t - first)] * stored.values[static_cast<size_t>(t * query.head_dim + d)];
      value += term;
      terms += std::fabs(term);
    }
    out[d] = {value / sum, 2 * (of_weight + of_sums + 4 * kU) * terms / sum};
  }
}

}  // namespace

std::vector<Bounded> exact_attention(const StepBatch& batch, const AttentionCall& call) {
  const int64_t head_dim = call.kv.shape().head_dim, group = call.heads / call.kv.shape().kv_heads;
  const int64_t width = call.heads * head_dim;
  std::vector<Bounded> out(static_cast<size_t>(call.q.rows * width));
  for (const AttentionSequence& sequence : batch.sequences) {
    const int64_t positions = sequence.first_position + sequence.tokens;
    for (int64_t head = 0; head < call.heads; ++head) {
      const StoredHead stored = load_stored_head(call.kv, sequence, head / group, positions);
      for (int64_t i = 0; i < sequence.tokens; ++i) {
        const int64_t row = sequence.first_token + i, position = sequence.first_position + i;
        const Query query{call.q.f32(row) + head * head_dim, head_dim, call.scale, call.cap,
                          call.sinks != nullptr ? call.sinks + head : nullptr};
        attend(query, stored, first_visible(position, call.window), position + 1,
               &out[static_cast<size_t>(row * width + head * head_dim)]);
      }
    }
  }
  return out;
}

}  // namespace halftone::reference
