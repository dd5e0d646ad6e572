// The weights of every mode on one device. Each (tensor, weight format) is packed once, whoever uses it; a tied head is
// the embedding. Built once at start, read by the engine thread.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/contract/device.h"
#include "server/architecture/tensor_part.h"
#include "server/model/mode.h"
#include "server/source/model_source.h"

namespace halftone {

// The tensors of one layer by what they are in it.
struct LayerWeights {
  int64_t layer = 0;  // its number in the checkpoint: of ModelSpec::layers
  std::array<const float*, kTensorParts> vectors = {};
  std::array<const PackedMatrix*, kTensorParts> matrices = {};

  // Null: the layer has none.
  const float* vector(TensorPart part) const { return vectors[static_cast<size_t>(part)]; }
  const PackedMatrix* matrix(TensorPart part) const { return matrices[static_cast<size_t>(part)]; }
};

// What one mode's forward pass reads.
struct ModeWeights {
  const PackedMatrix* embedding = nullptr;
  const PackedMatrix* head = nullptr;
  const float* final_norm = nullptr;
  std::vector<LayerWeights> layers;  // without the dropped ones
  Activations activations = Activations::kA16;
  // Facts for the account.
  uint64_t own_bytes = 0, shared_bytes = 0;  // of this mode alone; of others too
  uint64_t body_bytes = 0, head_bytes = 0;   // read in every step; read where logits are wanted
  int64_t body_values = 0, head_values = 0;
  double body_products[kArithmetics] = {};  // of one token with the body's matrices, by Arithmetic
  Arithmetic head_arithmetic = Arithmetic::kF32;
  double bits_per_weight = 0;  // of all matrices, scales included, a tied one once
  bool exact = true;           // every matrix holds the source's own values
};

struct LoadOptions {
  int threads = 1;                                         // that read and pack at once, 64 rows each
  std::function<void(double)> progress = {};               // hears fractions in [0, 1], from the calling thread
  std::string pack_cache = {};                             // a directory (pack_cache.h); empty: none
  std::function<void(const std::string&)> warn = {};       // hears what is wrong with it, from the calling thread
  std::function<absl::Status(uint64_t bytes)> admit = {};  // hears what all weights take before they do; may refuse
};

class Weights {
 public:
  static absl::StatusOr<std::unique_ptr<Weights>> load(const ModelSource& source, const std::vector<Mode>& modes,
                                                       Device& device, const LoadOptions& options);
  static absl::StatusOr<std::unique_ptr<Weights>> load(const ModelSource& source, const std::vector<Mode>& modes,
                                                       Device& device, int threads,
                                                       const std::function<void(double)>& progress) {
    return load(source, modes, device, {.threads = threads, .progress = progress});
  }

  const ModeWeights& mode(size_t index) const { return modes_[index]; }

 private:
  friend class WeightLoader;
  struct Packed {
    PackedMatrix matrix;
    bool import = false;        // codes are taken over
    bool exact = false;         // equal to the source's values
    std::vector<size_t> users;  // modes
  };
  std::map<std::pair<std::string, std::string>, std::unique_ptr<Packed>> packed_;  // by tensor and WeightChoice::name()
  std::vector<Buffer> buffers_;                                                    // behind all of them
  std::map<std::string, Buffer> vectors_;
  std::vector<ModeWeights> modes_;
};

}  // namespace halftone
