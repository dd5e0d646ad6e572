// A tiny model in several modes, ready to be evaluated, and spoiled where a test wants that. Tests only; one thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "lab/evaluation.h"
#include "tests/support/checkpoint_tiny.h"

namespace halftone {

struct LabRig {
  // Modes as a list; `source` outlives the rig. What cannot be loaded ends the test. remote: on a RemoteDevice.
  LabRig(const ModelSource& source, const std::string& modes, int threads = 1, bool remote = false);

  // Seeded tokens, cut as protocol `windows`.
  TextWindows text(int64_t windows, int64_t window_tokens, uint64_t seed = 1) const;
  // Against f32. `before_step` as in EvaluationInput. An error ends the test.
  Evaluation run(const TextWindows& text,
                 std::function<void(size_t, int64_t, const LanePages&)> before_step = {}) const;
  absl::StatusOr<Evaluation> try_run(const TextWindows& text) const;
  EvaluationInput input(const TextWindows& text) const;

  const ModelSource& source;
  Ledger ledger;
  std::unique_ptr<Device> device;
  std::vector<Mode> modes;
  std::unique_ptr<Weights> weights;
  std::vector<ModeWeights> mode_weights;  // copies: a test may change what they point at
};

// Written as GGUF with bodies of this type and an embedding in Q8_0, and opened.
ModelSource tiny_gguf_source(const std::string& path, const std::string& body_type, TinyCheckpoint tiny = {});

}  // namespace halftone
