#include <algorithm>
#include <cmath>

#include "kernels/contract/exp.h"
#include "kernels/cpu/cpu_context.h"

namespace halftone {
namespace {

float score_of(const float* scores, int64_t expert) { return std::isnan(scores[expert]) ? -HUGE_VALF : scores[expert]; }

// The `chosen` best of a row, one after the other: each is the best of those that come after the last one.
void choose(const float* scores, int64_t experts, int64_t chosen, int32_t* to) {
  float last_score = HUGE_VALF;
  int64_t last = -1;
  for (int64_t i = 0; i < chosen; ++i) {
    int64_t best = -1;
    for (int64_t e = 0; e < experts; ++e) {
      const float score = score_of(scores, e);
      const bool is_left = score < last_score || (score == last_score && e > last);
      if (is_left && (best < 0 || score > score_of(scores, best))) best = e;
    }
    to[i] = static_cast<int32_t>(best);
    last = best, last_score = score_of(scores, best);
  }
}

void route_row(const CpuOps& ops, const RouteCall& call, int64_t row) {
  const float* scores = call.scores.f32(row);
  const int64_t chosen = call.to.chosen;
  int32_t* experts = call.to.experts + row * chosen;
  float* weights = call.to.weights + row * chosen;
  choose(scores, call.scores.cols, chosen, experts);
  const float max = scores[experts[0]];
  float sum = 0;
  for (int64_t i = 0; i < chosen; ++i) {
    weights[i] = exp_ordered(scores[experts[i]] - max);
    sum = sum + weights[i];
  }
  if (!call.normalized) sum = ops.sum_exp(scores, call.scores.cols, 1, max);
  for (int64_t i = 0; i < chosen; ++i) weights[i] = weights[i] / sum;
}

// y = y + sum of weight * result, in the order of the choice.
void combine_row(const ExpertsCall& call, const ExpertGroups& groups, int64_t row) {
  const int64_t chosen = call.routing.chosen, dim = call.y.cols;
  float* y = call.y.f32(row);
  constexpr int64_t kColumns = 64;
  for (int64_t first = 0; first < dim; first += kColumns) {
    const int64_t columns = std::min(kColumns, dim - first);
    float sum[kColumns] = {};
    for (int64_t slot = row * chosen; slot < (row + 1) * chosen; ++slot) {
      const float weight = call.routing.weights[slot];
      const float* result = call.results.f32(groups.places[static_cast<size_t>(slot)]) + first;
      for (int64_t c = 0; c < columns; ++c) sum[c] = std::fma(weight, result[c], sum[c]);
    }
    for (int64_t c = 0; c < columns; ++c) y[first + c] = y[first + c] + sum[c];
  }
}

}  // namespace

void cpu_route(const CpuContext& context, const RouteCall& call) {
  const int64_t tokens = static_cast<int64_t>(context.batch.tokens.size());
  context.pool.run(call.scores.rows, [&](int64_t row, int) {
    if (row < tokens) return route_row(context.ops(), call, row);
    std::fill_n(call.to.experts + row * call.to.chosen, call.to.chosen, -1);
    std::fill_n(call.to.weights + row * call.to.chosen, call.to.chosen, 0.0f);
  });
}

int64_t cpu_experts(const CpuContext& context, const ExpertsCall& call) {
  const int64_t chosen = call.routing.chosen, slots = call.x.rows * chosen;
  const ExpertGroups groups = group_by_expert({call.routing.experts, static_cast<size_t>(slots)});
  for (size_t place = 0; place < groups.slots.size(); ++place) {
    std::copy_n(call.x.f32(groups.slots[place] / chosen), call.x.cols, call.inputs.f32(static_cast<int64_t>(place)));
  }
  for (const ExpertGroups::Group& group : groups.groups) {
    const LinearCall gated = gated_product(call, group), down = down_product(call, group);
    cpu_linear(context, {&gated, 1});
    cpu_linear(context, {&down, 1});
  }
  context.pool.run(call.x.rows, [&](int64_t row, int) {
    if (groups.places[static_cast<size_t>(row * chosen)] >= 0) combine_row(call, groups, row);
  });
  return std::ssize(groups.groups);
}

}  // namespace halftone
