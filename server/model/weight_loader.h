// Packs a source's tensors into their modes' formats. Used by Weights::load only.
#pragma once

#include <atomic>
#include <optional>
#include <string>
#include <vector>

#include "server/architecture/expected_tensors.h"
#include "server/model/pack_cache.h"
#include "server/model/weights.h"

namespace halftone {

class WeightLoader {
 public:
  WeightLoader(const ModelSource& source, const std::vector<Mode>& modes, Device& device)
      : source_(source),
        expected_(expected_tensors(source.spec)),
        modes_(modes),
        device_(device),
        weights_(std::make_unique<Weights>()) {}

  absl::Status plan();      // which tensor in which format, for which modes
  uint64_t bytes() const;   // of everything that was planned, and of the vectors
  absl::Status allocate();  // under the right names
  absl::Status fill(const LoadOptions& options);
  absl::Status read_vectors();
  std::unique_ptr<Weights> finish();

 private:
  // One tensor in one format, and 64 rows of it.
  struct Job {
    Weights::Packed* packed;
    const SourceTensor* tensor;
    const std::string *name, *choice;
    std::optional<size_t> cached = {};  // its number in the pack cache
  };
  struct Chunk {
    const Job* job;
    int64_t first;
  };

  absl::Status plan_mode(size_t mode);
  absl::Status plan_matrix(const ExpectedTensor& expected, size_t mode);
  absl::Status check_supported(const WeightChoice& choice, size_t mode) const;
  absl::StatusOr<std::unique_ptr<Weights::Packed>> plan_packed(const SourceTensor& tensor, const std::string& name,
                                                               const WeightChoice& choice) const;
  void open_cache(const LoadOptions& options);
  void read_cached(const LoadOptions& options, double all);
  absl::Status pack(const LoadOptions& options, double all);
  absl::Status fill_chunk(const Chunk& chunk) const;
  absl::Status read_chunk(const Chunk& chunk, WeightRows* rows) const;
  std::string owner(const Weights::Packed& packed, const std::string& choice) const;
  bool is_used(const ExpectedTensor& expected, size_t mode) const;
  // Null: no row of the mode's recipe is for it.
  const WeightChoice* choose(const ExpectedTensor& expected, size_t mode) const;
  bool counts_for_a_token(const ExpectedTensor& expected) const;
  ModeWeights mode_weights(size_t mode) const;
  void count(size_t mode, ModeWeights* out) const;

  const ModelSource& source_;
  const std::vector<ExpectedTensor> expected_;
  const std::vector<Mode>& modes_;
  Device& device_;
  std::unique_ptr<Weights> weights_;
  std::vector<Job> jobs_;
  std::unique_ptr<PackCache> cache_;  // null: none
  std::atomic<int64_t> done_{0};      // of all chunks
};

}  // namespace halftone
