// The sampler once more, in plain double loops over the whole row: what the quick one is held against. Tests only.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <numeric>
#include <span>
#include <vector>

#include "server/executor/sampling.h"

namespace halftone {

inline void plain_edits(const SamplingParams& params, std::span<const TokenCount> counts,
                        std::span<const int32_t> banned, std::vector<double>& row) {
  for (const TokenCount& count : counts) {
    double& logit = row[static_cast<size_t>(count.id)];
    const double penalty = static_cast<double>(params.repetition_penalty);
    if (count.in_prompt || count.in_output > 0) logit = logit > 0 ? logit / penalty : logit * penalty;
    if (count.in_output > 0) logit -= static_cast<double>(params.presence_penalty);
    logit -= static_cast<double>(params.frequency_penalty) * count.in_output;
  }
  for (const auto& [id, bias] : params.logit_bias) row[static_cast<size_t>(id)] += static_cast<double>(bias);
  for (int32_t id : banned) row[static_cast<size_t>(id)] = -HUGE_VAL;
}

// The id that `u` in [0, 1) draws: temperature, top_k, top_p, min_p, each renormalized.
inline int32_t plain_sample(const SamplingParams& params, const std::vector<double>& row, double u) {
  std::vector<int32_t> ids(row.size());
  std::iota(ids.begin(), ids.end(), 0);
  auto logit = [&](int32_t id) { return row[static_cast<size_t>(id)]; };
  std::stable_sort(ids.begin(), ids.end(), [&](int32_t a, int32_t b) { return logit(a) > logit(b); });
  if (params.temperature == 0) return ids[0];
  std::vector<double> weights;
  for (int32_t id : ids)
    weights.push_back(std::exp((logit(id) - logit(ids[0])) / static_cast<double>(params.temperature)));
  auto sum = [&] { return std::accumulate(weights.begin(), weights.end(), 0.0); };
  if (params.top_k > 0 && params.top_k < weights.size()) weights.resize(params.top_k);
  if (params.top_p < 1) {
    const double wanted = static_cast<double>(params.top_p) * sum();
    double mass = 0;
    size_t kept = 0;
    while (kept < weights.size() && mass < wanted) mass += weights[kept++];
    weights.resize(std::max<size_t>(kept, 1));
  }
  while (weights.size() > 1 && weights.back() < static_cast<double>(params.min_p)) weights.pop_back();
  const double wanted = u * sum();
  double mass = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    mass += weights[i];
    if (mass > wanted) return ids[i];
  }
  return ids[0];
}

}  // namespace halftone
