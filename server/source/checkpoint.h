// What both readers share: tensors collected under canonical names, held against the configuration, and made a
// ModelSource. One thread; used while a checkpoint is opened.
//
//   check_config, (add_tensor)*, finish
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/source/mapped_file.h"
#include "server/source/mapped_tensor.h"
#include "server/source/model_source.h"
#include "server/source/tensor_names.h"

namespace halftone {

// Families whose tensors tensor_names.h covers completely. Of others only the configuration is read.
bool knows_tensors_of(std::string_view architecture);

// Every number in a range in which nothing that is computed from it can overflow; heads and sizes fit together.
absl::Status check_config(const ModelConfig& config, const std::string& file);

class Checkpoint {
 public:
  // `file` stands in messages about the whole; config must outlive this.
  Checkpoint(std::string file, const ModelConfig& config) : file_(std::move(file)), config_(config) {}

  // INVALID_ARGUMENT: of no model that we know, of a layer that is not there, there twice, or of the wrong shape.
  absl::Status add_tensor(const std::optional<CanonicalName>& name, TensorPlace place);

  const TensorPlace* find(std::string_view name) const;
  // Both are there, and their values are the same, whatever their types.
  absl::StatusOr<bool> head_is_embedding() const;
  void remove(const std::string& name) { tensors_.erase(name); }

  // Everything is there; then source.{tensors, digest, format, bits_per_weight, files, mapped_bytes} are filled in.
  absl::Status finish(std::string_view kind, std::vector<std::unique_ptr<MappedFile>> files, ModelSource& source);

 private:
  absl::Status check_complete() const;

  std::string file_;
  const ModelConfig& config_;
  std::map<std::string, TensorPlace, std::less<>> tensors_;
};

}  // namespace halftone
