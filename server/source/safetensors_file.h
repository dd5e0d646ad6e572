// The container of a safetensors file: the table of tensors, checked against the file's own length.
// Works on bytes that nobody vouches for and never reads past them; what it allocates is bounded by their number.
//
//   u64 n; JSON of n bytes {"name": {"dtype", "shape", "data_offsets": [begin, end]}, "__metadata__": {...}}; data
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/source/tensor_format.h"

namespace halftone {

struct SafeTensor {
  std::string name;
  const TensorFormat* format = nullptr;  // null: a dtype that we do not read
  std::string dtype;
  int64_t rows = 1, cols = 1;  // cols: the last dimension; rows: the product of the others
  int dimensions = 1;
  std::span<const uint8_t> bytes;
};

// `file` is only for messages; `bytes` must outlive the result. Names differ, tensors do not overlap.
absl::StatusOr<std::vector<SafeTensor>> parse_safetensors(std::span<const uint8_t> bytes, const std::string& file);

}  // namespace halftone
