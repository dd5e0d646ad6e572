#include "lab/statistics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "kernels/contract/check.h"

namespace halftone {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// NaN where the row holds one.
double logsumexp(std::span<const float> logits) {
  const double most = static_cast<double>(*std::max_element(logits.begin(), logits.end()));
  double sum = 0;
  for (float x : logits) sum += std::exp(static_cast<double>(x) - most);
  return most + std::log(sum);
}

int32_t best_of(std::span<const float> logits) {
  return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

}  // namespace

bool ReferenceRow::assign(std::span<const float> logits) {
  log_probability_.resize(logits.size());
  probability_.resize(logits.size());
  const double sum = logsumexp(logits);
  if (!std::isfinite(sum)) return false;
  for (size_t i = 0; i < logits.size(); ++i) {
    log_probability_[i] = static_cast<double>(logits[i]) - sum;
    probability_[i] = std::exp(log_probability_[i]);
  }
  best_ = best_of(logits);
  return true;
}

PositionQuality compare_row(const ReferenceRow& reference, std::span<const float> logits, int32_t target) {
  HALFTONE_CHECK(logits.size() == reference.probability().size());
  PositionQuality out;
  out.reference_nll = reference.nll(target);
  const double sum = logsumexp(logits);
  if (!std::isfinite(sum)) {
    out.nll = out.kl = kInfinity;
    out.finite = false;
    return out;
  }
  out.nll = sum - static_cast<double>(logits[static_cast<size_t>(target)]);
  const std::span<const double> log_p = reference.log_probability(), p = reference.probability();
  for (size_t i = 0; i < logits.size(); ++i) {
    // What the reference excludes counts nothing, whatever the mode says of it.
    if (p[i] > 0) out.kl += p[i] * (log_p[i] - (static_cast<double>(logits[i]) - sum));
  }
  out.top1 = best_of(logits) == reference.best();
  return out;
}

Mean mean_of(std::span<const double> values) {
  const double n = static_cast<double>(values.size());
  Mean mean{std::accumulate(values.begin(), values.end(), 0.0) / n, 0};
  if (values.size() < 2) return mean;
  double squares = 0;
  for (double v : values) squares += (v - mean.value) * (v - mean.value);
  mean.standard_error = std::sqrt(squares / (n - 1) / n);
  return mean;
}

double quantile(std::span<const double> sorted, double share) {
  const double place = share * static_cast<double>(sorted.size() - 1);
  const size_t below = static_cast<size_t>(place);
  const double part = place - static_cast<double>(below);
  if (part == 0 || sorted[below] == sorted[below + 1]) return sorted[below];
  return sorted[below] + part * (sorted[below + 1] - sorted[below]);
}

void QualityStatistics::add(const PositionQuality& position) {
  HALFTONE_CHECK(!windows_.empty());
  ++windows_.back();
  nll_.push_back(position.nll);
  reference_nll_.push_back(position.reference_nll);
  kl_.push_back(position.kl);
  same_top1_ += position.top1 ? 1 : 0;
  not_finite_ += position.finite ? 0 : 1;
}

ModeQuality QualityStatistics::summary() const {
  HALFTONE_CHECK(!nll_.empty());
  ModeQuality out;
  out.positions = static_cast<int64_t>(nll_.size());
  out.not_finite = not_finite_;
  const Mean nll = mean_of(nll_);
  out.perplexity = std::exp(nll.value);
  out.perplexity_standard_error = out.perplexity * nll.standard_error;
  out.reference_perplexity = std::exp(mean_of(reference_nll_).value);
  std::vector<double> more(nll_.size());
  for (size_t i = 0; i < more.size(); ++i) more[i] = nll_[i] - reference_nll_[i];
  const Mean difference = mean_of(more);
  out.ratio = std::exp(difference.value);
  out.ratio_standard_error = out.ratio * difference.standard_error;
  const Mean kl = mean_of(kl_);
  out.kl_mean = kl.value;
  out.kl_standard_error = kl.standard_error;
  std::vector<double> sorted = kl_;
  std::sort(sorted.begin(), sorted.end());
  out.kl_median = quantile(sorted, 0.5);
  out.kl_p99 = quantile(sorted, 0.99);
  out.kl_max = sorted.back();
  const double n = static_cast<double>(out.positions);
  out.top1 = static_cast<double>(same_top1_) / n;
  out.top1_standard_error = std::sqrt(out.top1 * (1 - out.top1) / n);
  std::span<const double> left = nll_;
  for (int64_t count : windows_) {
    out.nll_per_window.push_back(mean_of(left.first(static_cast<size_t>(count))).value);
    left = left.subspan(static_cast<size_t>(count));
  }
  return out;
}

}  // namespace halftone
