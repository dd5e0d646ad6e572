// Compares modes of one model with a reference, row of logits by row of logits, over a text's windows. All modes go
// through the windows together, sixteen rows at a time: of logits, one block of [16, vocabulary] for each mode is in
// memory, never [window, vocabulary]. One thread; the device has its own.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "lab/lane.h"
#include "lab/protocol.h"
#include "lab/statistics.h"

namespace halftone {

// Weights that are loaded already, and the KV format to use them with.
struct EvaluatedMode {
  std::string id;
  const ModeWeights* weights = nullptr;
  std::string kv = "kv16";
};

struct EvaluationInput {
  const ModelSource& source;
  Device& device;
  const TextWindows& text;
  EvaluatedMode reference;
  std::vector<EvaluatedMode> modes = {};
  std::function<void(double)> progress = {};  // hears fractions in [0, 1]
  // Before each step of a mode (its index): a test spoils its pages here.
  std::function<void(size_t mode, int64_t position, const LanePages& pages)> before_step = {};
};

struct Evaluation {
  ModeQuality reference;  // against itself: perplexity only
  // The reference against itself through another path: other steps, other batches of rows, other pages. Over the first
  // window. A KL of 0 on an ordered device; elsewhere what no mode's KL can be told from.
  ModeQuality floor;
  std::vector<ModeQuality> modes;
};

// INVALID_ARGUMENT: windows beyond the model's context, tokens beyond its vocabulary, a reference whose logits are not
// finite.
absl::StatusOr<Evaluation> evaluate(const EvaluationInput& input);

// By mean KL: "transparent" up to 0.0015, "near-lossless" 0.011, "good" 0.035, "degraded" 0.1, "risky" 0.3, "broken".
std::string verdict(const ModeQuality& quality);

}  // namespace halftone
