#include "lab/evaluation.h"

#include <algorithm>
#include <chrono>

#include "absl/strings/str_cat.h"
#include "kernels/contract/check.h"

namespace halftone {
namespace {

constexpr int64_t kStepTokens = 256;
// The floor's path: pieces that no other mode has, in every place where there is a choice.
constexpr int64_t kFloorStepTokens = 48, kFloorRows = 5;

struct Contender {
  std::unique_ptr<Lane> lane;
  QualityStatistics statistics;
  int64_t rows_at_once = kLaneRows;
  double seconds = 0;

  ModeQuality summary() const {
    ModeQuality quality = statistics.summary();
    quality.clamped_values = lane->clamped_values();
    quality.seconds = seconds;
    return quality;
  }
};

class Evaluator {
 public:
  explicit Evaluator(const EvaluationInput& input) : in_(input), references_(kLaneRows) {}

  absl::Status prepare();
  absl::StatusOr<Evaluation> run();

 private:
  absl::Status check() const;
  absl::Status run_window(size_t w);
  absl::Status run_rows(size_t w, int64_t first, int64_t count);
  void compare(Contender* contender, size_t w, int64_t first, int64_t count);
  bool takes_part(size_t contender, size_t w) const { return contender != floor_ || w == 0; }

  const EvaluationInput& in_;
  Contender reference_;
  std::vector<Contender> contenders_;  // the modes, then the floor
  size_t floor_ = 0;
  std::vector<ReferenceRow> references_;  // of the block of rows that is being compared
};

absl::Status Evaluator::check() const {
  const ModelSpec& c = in_.source.spec;
  if (in_.text.window_tokens > c.context) {
    return absl::InvalidArgumentError(
        absl::StrCat("windows of ", in_.text.window_tokens, " tokens: the model's context is ", c.context));
  }
  for (const std::vector<int32_t>& window : in_.text.windows) {
    for (int32_t id : window) {
      if (id < 0 || id >= c.vocabulary) {
        return absl::InvalidArgumentError(absl::StrCat("token ", id, " of the text: the model has ", c.vocabulary));
      }
    }
  }
  return absl::OkStatus();
}

absl::Status Evaluator::prepare() {
  absl::Status status = check();
  if (!status.ok()) return status;
  const LaneModel model{in_.source, in_.device, in_.text.window_tokens, kStepTokens};
  auto add = [&](const LaneOptions& options, Contender* contender) {
    auto lane = Lane::create(model, options);
    if (!lane.ok()) return lane.status();
    contender->lane = *std::move(lane);
    return absl::OkStatus();
  };
  LaneOptions reference{.weights = in_.reference.weights, .kv = in_.reference.kv, .step_tokens = kStepTokens};
  status = add(reference, &reference_);
  floor_ = in_.modes.size();
  contenders_.resize(floor_ + 1);
  for (size_t m = 0; m < floor_ && status.ok(); ++m) {
    LaneOptions options{.weights = in_.modes[m].weights, .kv = in_.modes[m].kv, .step_tokens = kStepTokens};
    if (in_.before_step) {
      options.before_step = [this, m](int64_t position, const LanePages& pages) {
        in_.before_step(m, position, pages);
      };
    }
    status = add(options, &contenders_[m]);
  }
  reference.step_tokens = kFloorStepTokens;
  reference.pages_backwards = true;
  contenders_[floor_].rows_at_once = kFloorRows;
  return status.ok() ? add(reference, &contenders_[floor_]) : status;
}

void Evaluator::compare(Contender* contender, size_t w, int64_t first, int64_t count) {
  const std::vector<int32_t>& window = in_.text.windows[w];
  for (int64_t done = 0; done < count; done += contender->rows_at_once) {
    const int64_t rows = std::min(contender->rows_at_once, count - done);
    const auto start = std::chrono::steady_clock::now();
    const Tensor logits = contender->lane->logits(first + done, rows);
    contender->seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    for (int64_t r = 0; r < rows; ++r) {
      const size_t row = static_cast<size_t>(done + r);
      contender->statistics.add(compare_row(references_[row], {logits.f32(r), static_cast<size_t>(logits.cols)},
                                            window[static_cast<size_t>(first) + row + 1]));
    }
  }
}

absl::Status Evaluator::run_rows(size_t w, int64_t first, int64_t count) {
  const auto start = std::chrono::steady_clock::now();
  const Tensor logits = reference_.lane->logits(first, count);
  reference_.seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  for (int64_t r = 0; r < count; ++r) {
    const std::span<const float> row(logits.f32(r), static_cast<size_t>(logits.cols));
    ReferenceRow& reference = references_[static_cast<size_t>(r)];
    if (!reference.assign(row)) {
      return absl::InvalidArgumentError(
          absl::StrCat("the reference's logits at position ", first + r, " of window ", w, " are not finite"));
    }
    const double nll = reference.nll(in_.text.windows[w][static_cast<size_t>(first + r + 1)]);
    reference_.statistics.add({.nll = nll, .reference_nll = nll, .top1 = true});
  }
  for (size_t m = 0; m < contenders_.size(); ++m) {
    if (takes_part(m, w)) compare(&contenders_[m], w, first, count);
  }
  return absl::OkStatus();
}

absl::Status Evaluator::run_window(size_t w) {
  const std::vector<int32_t>& window = in_.text.windows[w];
  reference_.lane->begin(window);
  reference_.statistics.begin_window();
  for (size_t m = 0; m < contenders_.size(); ++m) {
    if (!takes_part(m, w)) continue;
    contenders_[m].lane->begin(window);
    contenders_[m].statistics.begin_window();
  }
  const int64_t end = in_.text.window_tokens - 1;
  for (int64_t first = in_.text.first_row; first < end;) {
    const int64_t count = std::min(kLaneRows - first % kLaneRows, end - first);
    absl::Status status = run_rows(w, first, count);
    if (!status.ok()) return status;
    first += count;
    const double part = static_cast<double>(first) / static_cast<double>(end);
    if (in_.progress) {
      in_.progress((static_cast<double>(w) + part) / static_cast<double>(in_.text.windows.size()));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Evaluation> Evaluator::run() {
  for (size_t w = 0; w < in_.text.windows.size(); ++w) {
    absl::Status status = run_window(w);
    if (!status.ok()) return status;
  }
  Evaluation out;
  out.reference = reference_.summary();
  out.floor = contenders_[floor_].summary();
  for (size_t m = 0; m < floor_; ++m) out.modes.push_back(contenders_[m].summary());
  return out;
}

}  // namespace

absl::StatusOr<Evaluation> evaluate(const EvaluationInput& input) {
  HALFTONE_CHECK(!input.text.windows.empty());
  Evaluator evaluator(input);
  absl::Status status = evaluator.prepare();
  if (!status.ok()) return status;
  return evaluator.run();
}

std::string verdict(const ModeQuality& quality) {
  constexpr struct {
    double most;
    const char* name;
  } kClasses[] = {
      {0.0015, "transparent"}, {0.011, "near-lossless"}, {0.035, "good"}, {0.1, "degraded"}, {0.3, "risky"}};
  for (const auto& c : kClasses) {
    if (quality.kl_mean <= c.most) return c.name;
  }
  return "broken";
}

}  // namespace halftone
