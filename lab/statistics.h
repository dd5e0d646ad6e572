// How far one distribution of the next token is from another, position by position, and what a text's positions say
// together. In double, nats; one thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace halftone {

// The reference's distribution at one position. Reused: assign() takes the next row.
class ReferenceRow {
 public:
  // False: the row has no finite logsumexp, and nothing may be compared with it.
  bool assign(std::span<const float> logits);

  int32_t best() const { return best_; }  // the most probable token; of equal ones the lowest id
  double nll(int32_t token) const { return -log_probability_[static_cast<size_t>(token)]; }
  std::span<const double> log_probability() const { return log_probability_; }
  std::span<const double> probability() const { return probability_; }

 private:
  std::vector<double> log_probability_, probability_;  // [vocabulary]
  int32_t best_ = 0;
};

// One position of a mode. A row that is not finite is infinitely far away and agrees with nothing.
struct PositionQuality {
  double nll = 0;            // of the text's token
  double reference_nll = 0;  // the reference's
  double kl = 0;             // KL(reference || mode); exactly 0 for equal logits
  bool top1 = false;         // the same most probable token
  bool finite = true;
};
PositionQuality compare_row(const ReferenceRow& reference, std::span<const float> logits, int32_t target);

// What all scored positions of a text say. Standard errors take positions as independent, as is the custom.
struct ModeQuality {
  int64_t positions = 0, not_finite = 0;
  double perplexity = 0, perplexity_standard_error = 0;
  double reference_perplexity = 0;
  double ratio = 0, ratio_standard_error = 0;  // perplexity / the reference's; the error is that of pairs
  double kl_mean = 0, kl_standard_error = 0;
  double kl_median = 0, kl_p99 = 0, kl_max = 0;
  double top1 = 0, top1_standard_error = 0;
  std::vector<double> nll_per_window;  // means
  int64_t clamped_values = 0;          // K and V values beyond their format's range
  double seconds = 0;                  // of forward passes and logits
};

class QualityStatistics {
 public:
  void begin_window() { windows_.push_back(0); }
  void add(const PositionQuality& position);
  ModeQuality summary() const;

 private:
  std::vector<int64_t> windows_;  // positions of each
  std::vector<double> nll_, reference_nll_, kl_;
  int64_t same_top1_ = 0, not_finite_ = 0;
};

struct Mean {
  double value = 0, standard_error = 0;  // sample deviation / sqrt(n); 0 for one value
};
Mean mean_of(std::span<const double> values);
// Between neighbours linearly, as numpy's default. `sorted` ascends and is not empty; share in [0, 1].
double quantile(std::span<const double> sorted, double share);

}  // namespace halftone
