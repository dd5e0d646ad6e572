// Packs a source's tensors into their modes' formats. Used by Weights::load only.
#pragma once

#include <string>
#include <vector>

#include "server/model/weights.h"

namespace halftone {

class WeightLoader {
 public:
  WeightLoader(const ModelSource& source, const Decoder& decoder, const std::vector<Mode>& modes, Device& device)
      : source_(source), decoder_(decoder), modes_(modes), device_(device), weights_(std::make_unique<Weights>()) {}

  absl::Status plan();      // which tensor in which format, for which modes
  absl::Status allocate();  // under the right names
  absl::Status fill(int threads, const std::function<void(double)>& progress);
  absl::Status read_vectors();
  std::unique_ptr<Weights> finish();

 private:
  struct Chunk {
    Weights::Packed* packed;
    const SourceTensor* tensor;
    const std::string* name;
    int64_t first;
  };

  absl::Status plan_mode(size_t mode);
  absl::Status plan_matrix(const std::string& name, TensorClass tensor_class, int64_t layer, size_t mode);
  absl::StatusOr<std::unique_ptr<Weights::Packed>> plan_packed(const SourceTensor& tensor, const std::string& name,
                                                               const WeightChoice& choice) const;
  absl::Status fill_chunk(const Chunk& chunk) const;
  std::string owner(const Weights::Packed& packed, const std::string& choice) const;
  ModeWeights mode_weights(size_t mode) const;
  void count(size_t mode, ModeWeights* out) const;

  const ModelSource& source_;
  const Decoder& decoder_;
  const std::vector<Mode>& modes_;
  Device& device_;
  std::unique_ptr<Weights> weights_;
  std::vector<Chunk> chunks_;
};

}  // namespace halftone
