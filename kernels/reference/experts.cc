#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/contract/exp.h"
#include "kernels/reference/lane_sum.h"
#include "kernels/reference/operations.h"

namespace halftone::reference {
namespace {

// The experts of one row of scores, best first.
std::vector<int32_t> ranked(const float* scores, int64_t experts) {
  std::vector<int32_t> ids(static_cast<size_t>(experts));
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int32_t>(i);
  const auto score = [&](int32_t id) { return std::isnan(scores[id]) ? -HUGE_VALF : scores[id]; };
  std::stable_sort(ids.begin(), ids.end(), [&](int32_t a, int32_t b) { return score(a) > score(b); });
  return ids;
}

}  // namespace

void route(const StepBatch& batch, const RouteCall& call) {
  const int64_t chosen = call.to.chosen, experts = call.scores.cols;
  for (int64_t row = 0; row < call.scores.rows; ++row) {
    int32_t* to = call.to.experts + row * chosen;
    float* weights = call.to.weights + row * chosen;
    if (row >= std::ssize(batch.tokens)) {
      std::fill_n(to, chosen, -1);
      std::fill_n(weights, chosen, 0.0f);
      continue;
    }
    const float* scores = call.scores.f32(row);
    const std::vector<int32_t> ids = ranked(scores, experts);
    std::copy_n(ids.begin(), chosen, to);
    const float max = scores[ids[0]];
    LaneSum of_all;
    for (int64_t e = 0; e < experts; ++e) of_all.add(e, exp_ordered(scores[e] - max));
    float of_chosen = 0;
    for (int64_t i = 0; i < chosen; ++i) {
      weights[i] = exp_ordered(scores[to[i]] - max);
      of_chosen = of_chosen + weights[i];
    }
    for (int64_t i = 0; i < chosen; ++i) weights[i] = weights[i] / (call.normalized ? of_chosen : of_all.total());
  }
}

void experts(const ExpertsCall& call) {
  const int64_t chosen = call.routing.chosen, dim = call.x.cols;
  std::vector<float> sums(static_cast<size_t>(call.x.rows * dim), 0.0f);
  for (int64_t slot = 0; slot < call.x.rows * chosen; ++slot) {
    const int32_t expert = call.routing.experts[slot];
    if (expert < 0) continue;
    const ExpertGroups::Group alone{expert, slot, 1};
    std::copy_n(call.x.f32(slot / chosen), dim, call.inputs.f32(slot));
    linear(gated_product(call, alone));
    linear(down_product(call, alone));
    float* sum = &sums[static_cast<size_t>(slot / chosen * dim)];
    for (int64_t c = 0; c < dim; ++c) sum[c] = std::fma(call.routing.weights[slot], call.results.f32(slot)[c], sum[c]);
  }
  for (int64_t row = 0; row < call.x.rows; ++row) {
    if (call.routing.experts[row * chosen] < 0) continue;
    for (int64_t c = 0; c < dim; ++c)
      call.y.f32(row)[c] = call.y.f32(row)[c] + sums[static_cast<size_t>(row * dim + c)];
  }
}

}  // namespace halftone::reference
