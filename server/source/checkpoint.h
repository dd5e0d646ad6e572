// What both readers share: a file's tensors, looked up in the table of what the model is to have (expected_tensors.h),
// and made a ModelSource. One thread; used while a checkpoint is opened.
//
//   (add_tensor)*, [remove], finish
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/architecture/expected_tensors.h"
#include "server/source/mapped_file.h"
#include "server/source/mapped_tensor.h"
#include "server/source/model_source.h"

namespace halftone {

enum class FileKind : uint8_t { kHuggingFace, kGguf };

class Checkpoint {
 public:
  // `file` stands in messages about the whole. The spec, as its configuration says it, must outlive this; finish()
  // makes it what the tensors say.
  Checkpoint(FileKind kind, std::string file, const Family& family, ModelSpec& spec);

  // A tensor of this name has a place in the model.
  bool knows(std::string_view file_name) const { return !find_expected(file_name).empty(); }
  // INVALID_ARGUMENT: of no model that we know, of a layer that is not there, there twice, or of the wrong shape. What
  // carries nothing (tables that follow from the configuration) is passed over.
  absl::Status add_tensor(const TensorPlace& place);

  const TensorPlace* find(std::string_view name) const;
  // Both are there, and their values are the same, whatever their types.
  absl::StatusOr<bool> head_is_embedding() const;
  void remove(const std::string& name) { tensors_.erase(name); }

  // Everything is there; then source.{tensors, digest, format, bits_per_weight, files, mapped_bytes} are filled in.
  absl::Status finish(std::vector<std::unique_ptr<MappedFile>> files, ModelSource& source);

 private:
  std::span<const size_t> find_expected(std::string_view file_name) const;
  absl::Status add_expected(const ExpectedTensor& expected, TensorPlace place);
  bool names_a_layer_beyond(std::string_view file_name) const;
  void drop_absent_parts();
  absl::Status check_complete() const;

  FileKind kind_;
  std::string file_;
  const Family& family_;
  ModelSpec& spec_;
  std::vector<ExpectedTensor> expected_;
  std::unordered_map<std::string, std::vector<size_t>>
      by_file_name_;  // into expected_; several: all experts of a layer
  std::map<std::string, TensorPlace, std::less<>> tensors_;
};

}  // namespace halftone
