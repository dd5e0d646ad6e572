// A checkpoint, whatever file it came from: what it is, vocabulary, chat template and tensors by canonical name.
//
// server/architecture/expected_tensors.h says which tensors there are, how they are called ("layers.3.q") and how they
// are shaped. rope_factors divides each rotation frequency, in place of RopeSpec::scaling: a GGUF file of Llama 3 has
// it and says kNone, a Hugging Face checkpoint says kLlama3 and has none. Files are mapped and read 64 rows at a time:
// a model is never in memory twice.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/contract/weight_rows.h"
#include "server/architecture/model_spec.h"
#include "server/text/vocabulary.h"

namespace halftone {

// What the checkpoint's author recommends, within the ranges of a request; absent: the server's own default.
struct GenerationDefaults {
  std::optional<float> temperature, top_p, repetition_penalty;
  std::optional<int64_t> top_k;
};

// One tensor of a mapped file. Any thread may read; errors name the file, the tensor and what was expected.
class SourceTensor {
 public:
  virtual ~SourceTensor() = default;
  virtual std::string_view name() const = 0;  // as the file spells it; what it is called here, where there is no file
  virtual std::string_view type() const = 0;  // "F32", "BF16", "Q4_1", ...
  virtual int64_t rows() const = 0;           // 1 for a vector
  virtual int64_t cols() const = 0;
  // Its own values as float32: out holds count * cols floats.
  virtual absl::Status read_rows(int64_t first, int64_t count, std::span<float> out) const = 0;
  // The grid that its values lie on, where that is affine (Q4_0, Q4_1, Q8_0); nothing for plain numbers and other
  // grids.
  virtual std::optional<AffineGrid> grid() const = 0;
  // The codes themselves, in the place of what `out` held; only where grid() says so.
  virtual absl::Status read_codes(int64_t first, int64_t count, WeightRows& out) const = 0;
};

struct ModelSource {
  ModelSpec spec;
  Vocabulary vocabulary;
  std::string chat_template;  // Jinja text; empty: the checkpoint has none
  GenerationDefaults generation;
  std::string format;                 // "gguf/Q4_1" (the most frequent matrix type) or "safetensors/BF16"
  std::string digest;                 // "sha256:..." over what it is and its tensors (digest.h)
  double bits_per_weight = 0;         // of the file's matrices, scales included
  uint64_t mapped_bytes = 0;          // of all weight files
  std::vector<std::string> warnings;  // what was left out and why, one line each: for the log
  std::map<std::string, std::unique_ptr<SourceTensor>, std::less<>> tensors;
  std::shared_ptr<const void> files;  // keeps the mappings alive

  const SourceTensor* find(std::string_view name) const {
    auto it = tensors.find(name);
    return it == tensors.end() ? nullptr : it->second.get();
  }
};

// Opens FILE.gguf (of a model in parts, any of them), a Hugging Face directory (also one models--ORG--NAME of its
// cache) or a directory with one GGUF model. Reads every byte once for the digest (up to 1 GiB, then samples). The
// checkpoint comes complete and checked: every number of its spec in range, every tensor there that the spec expects,
// of the right shape, none left over. NOT_FOUND, PERMISSION_DENIED: the file. INVALID_ARGUMENT: its content.
// UNIMPLEMENTED: what we do not read or run; a family that we do not know, with those that we know.
absl::StatusOr<ModelSource> open_model(const std::string& path);

}  // namespace halftone
