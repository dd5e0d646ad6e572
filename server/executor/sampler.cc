#include "server/executor/sampler.h"

#include <algorithm>
#include <cmath>
#include <map>

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
        complete_(complete),
        inverse_(static_cast<double>(inverse_temperature(params))),
        best_(static_cast<double>(candidates[0].logit) * inverse_),
        row_mass_(complete ? prefix(candidates.size()).mass : std::exp(static_cast<double>(logsumexp) - best_)) {}

  double weight(size_t i) const { return std::exp(static_cast<double>(candidates_[i].logit) * inverse_ - best_); }

  std::optional<Kept> cut() const {
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

  const SamplingParams& params_;
  std::span<const LogitCandidate> candidates_;
  bool complete_;
  double inverse_, best_, row_mass_;
};

}  // namespace

std::vector<LogitEdit> make_edits(const LogitRow& row, int64_t vocabulary) {
  const SamplingParams& params = *row.sampling;
  std::map<int32_t, LogitEdit> edited;
  auto inside = [&](int32_t id) { return id >= 0 && id < vocabulary; };
  if (params.penalizes()) {
    for (const TokenCount& count : row.counts) {
      if (inside(count.id)) edited[count.id] = penalty(params, count);
    }
  }
  for (const auto& [id, bias] : params.logit_bias) {
    if (inside(id)) edited.try_emplace(id, LogitEdit{.id = id}).first->second.add = bias;
  }
  for (int32_t id : row.banned) {
    if (inside(id)) edited[id] = {.id = id, .add = -HUGE_VALF};
  }
  std::vector<LogitEdit> edits;
  edits.reserve(edited.size());
  for (const auto& [id, edit] : edited) edits.push_back(edit);
  return edits;
}

float inverse_temperature(const SamplingParams& params) {
  return params.temperature > 0 ? 1.0f / params.temperature : 0.0f;
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
  if (params.temperature <= 0 || candidates.size() == 1 || candidates[0].logit == -HUGE_VALF) return 0;
  Cutter cutter(params, candidates, complete, logsumexp);
  std::optional<Kept> kept = cutter.cut();
  if (!kept) return std::nullopt;
  double wanted = draw(params.seed, position) * kept->mass, mass = 0;
  for (size_t i = 0; i < kept->count; ++i) {
    mass += cutter.weight(i);
    if (mass > wanted) return i;
  }
  if (kept->whole && !complete) return std::nullopt;
  size_t last = kept->count - 1;  // rounding left a sliver at the end
  while (last > 0 && cutter.weight(last) == 0) --last;
  return last;
}

}  // namespace halftone
