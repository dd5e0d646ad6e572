#include "server/executor/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace halftone {
namespace {

LogitEdit penalty(const SamplingParams& params, const TokenCount& count) {
  LogitEdit edit{.id = count.id};
  if (count.in_prompt || count.in_output > 0) edit.repetition = params.repetition_penalty;
  if (count.in_output > 0) {
    edit.subtract = params.presence_penalty + params.frequency_penalty * static_cast<float>(count.in_output);
  }
  return edit;
}

// The candidates that the cuts leave, as a prefix of the descending list.
struct Kept {
  size_t count = 0;
  double mass = 0;     // relative to exp(best candidate)
  bool whole = false;  // nothing was cut: the mass is that of the whole row, count may stop short of it
};

class Cutter {
 public:
  Cutter(const SamplingParams& params, std::span<const LogitCandidate> candidates, bool complete, float logsumexp)
      : params_(params),
        candidates_(candidates),
        inverse_(static_cast<double>(inverse_temperature(params))),
        best_(bounded_logit(candidates[0].logit) * inverse_),
        complete_(complete || weight(candidates.size() - 1) == 0),
        knows_row_mass_(complete_ || std::abs(logsumexp) <= kTrustedLogsumexp),
        row_mass_(complete_ ? prefix(candidates.size()).mass : std::exp(static_cast<double>(logsumexp) - best_)) {}

  double weight(size_t i) const { return std::exp(bounded_logit(candidates_[i].logit) * inverse_ - best_); }
  bool complete() const { return complete_; }

  std::optional<Kept> cut() const {
    if (!knows_row_mass_) return std::nullopt;
    std::optional<Kept> kept = cut_top_k();
    if (kept && params_.top_p < 1) kept = cut_top_p(*kept);
    if (kept && params_.min_p > 0) kept = cut_min_p(*kept);
    return kept;
  }

 private:
  std::optional<Kept> cut_top_k() const {
    if (params_.top_k == 0) return Kept{candidates_.size(), row_mass_, true};
    size_t wanted = params_.top_k;
    if (wanted > candidates_.size() && !complete_) return std::nullopt;
    return prefix(std::min(wanted, candidates_.size()));
  }
  std::optional<Kept> cut_top_p(const Kept& from) const {
    double wanted = static_cast<double>(params_.top_p) * from.mass, mass = 0;
    for (size_t i = 0; i < from.count; ++i) {
      mass += weight(i);
      if (mass >= wanted) return Kept{i + 1, mass, false};
    }
    if (from.whole && !complete_) return std::nullopt;
    return prefix(from.count);
  }
  std::optional<Kept> cut_min_p(const Kept& from) const {
    size_t count = 0;
    while (count < from.count && weight(count) >= static_cast<double>(params_.min_p)) ++count;
    if (count == from.count && from.whole && !complete_) return std::nullopt;
    return prefix(std::max<size_t>(count, 1));
  }
  Kept prefix(size_t count) const {
    Kept kept{count, 0, false};
    for (size_t i = 0; i < count; ++i) kept.mass += weight(i);
    return kept;
  }

  // A float beyond it is off by so much that its exponential is no mass any more.
  static constexpr float kTrustedLogsumexp = 4096;

  const SamplingParams& params_;
  std::span<const LogitCandidate> candidates_;
  double inverse_, best_;
  bool complete_, knows_row_mass_;  // complete: what is not among the candidates weighs nothing
  double row_mass_;
};

}  // namespace

std::vector<LogitEdit> make_edits(const LogitRow& row, int64_t vocabulary) {
  const SamplingParams& params = *row.sampling;
  std::vector<LogitEdit> all;  // those of one id in the order in which they come
  all.reserve((params.penalizes() ? row.counts.size() : 0) + params.logit_bias.size() + row.banned.size());
  auto inside = [&](int32_t id) { return id >= 0 && id < vocabulary; };
  auto lower_id = [](const LogitEdit& a, const LogitEdit& b) { return a.id < b.id; };
  if (params.penalizes()) {
    for (const TokenCount& count : row.counts) {
      if (inside(count.id)) all.push_back(penalty(params, count));
    }
  }
  // Of penalties there may be thousands, which come in order.
  if (!std::is_sorted(all.begin(), all.end(), lower_id)) std::sort(all.begin(), all.end(), lower_id);
  const auto penalties = static_cast<std::ptrdiff_t>(all.size());
  for (const auto& [id, bias] : params.logit_bias) {
    if (inside(id)) all.push_back({.id = id, .add = bias});
  }
  for (int32_t id : row.banned) {
    if (inside(id)) all.push_back({.id = id, .add = -HUGE_VALF});
  }
  if (all.empty()) return all;
  std::stable_sort(all.begin() + penalties, all.end(), lower_id);
  std::inplace_merge(all.begin(), all.begin() + penalties, all.end(), lower_id);
  std::vector<LogitEdit> edits;
  edits.reserve(all.size());
  for (const LogitEdit& edit : all) {
    if (edits.empty() || edits.back().id != edit.id) {
      edits.push_back(edit);
    } else if (edit.add == -HUGE_VALF) {
      edits.back() = edit;
    } else {
      edits.back().add = edit.add;
    }
  }
  return edits;
}

bool is_greedy(const SamplingParams& params) { return inverse_temperature(params) == 0; }

float inverse_temperature(const SamplingParams& params) {
  const float inverse = params.temperature > 0 ? 1.0f / params.temperature : 0.0f;
  return std::isfinite(inverse) ? inverse : 0.0f;
}

double bounded_logit(float logit) {
  constexpr float kGreatest = std::numeric_limits<float>::max();
  return static_cast<double>(logit < kGreatest ? logit : kGreatest);
}

double draw(uint64_t seed, int64_t position) {
  // SplitMix64 (Steele, Lea and Flood 2014) of the two keys, one after the other.
  auto mix = [](uint64_t z) {
    z += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  };
  uint64_t bits = mix(mix(seed) ^ static_cast<uint64_t>(position));
  return static_cast<double>(bits >> 11) * 0x1p-53;
}

std::optional<size_t> choose(const SamplingParams& params, int64_t position, std::span<const LogitCandidate> candidates,
                             bool complete, float logsumexp) {
  if (is_greedy(params) || candidates.size() == 1 || candidates[0].logit == -HUGE_VALF) return 0;
  Cutter cutter(params, candidates, complete, logsumexp);
  std::optional<Kept> kept = cutter.cut();
  if (!kept) return std::nullopt;
  double wanted = draw(params.seed, position) * kept->mass, mass = 0;
  for (size_t i = 0; i < kept->count; ++i) {
    mass += cutter.weight(i);
    if (mass > wanted) return i;
  }
  if (kept->whole && !cutter.complete()) return std::nullopt;
  size_t last = kept->count - 1;  // rounding left a sliver at the end
  while (last > 0 && cutter.weight(last) == 0) --last;
  return last;
}

}  // namespace halftone
