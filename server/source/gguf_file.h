// The container of a GGUF file of version 2 or 3, which lie alike: metadata and the table of tensors, checked against
// the file's own length. Works on bytes that nobody vouches for and never reads past them; what it allocates is bounded
// by their number and by limits of its own.
//
//   "GGUF" u32 version  u64 tensors  u64 keys
//   keys    { text key; u32 type; value }                      text: u64 length, bytes
//   tensors { text name; u32 dims; u64 shape[dims]; u32 type; u64 offset }   shape[0] runs fastest: the inputs
//   padding to general.alignment (32), then the data that the offsets point into
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/source/gguf_metadata.h"
#include "server/source/tensor_format.h"

namespace halftone {

struct GgufTensor {
  std::string name, file;
  const TensorFormat* format = nullptr;  // null: a type that we do not read; then bytes is empty
  uint32_t type = 0;                     // GGUF's number for it
  int64_t rows = 1, cols = 1;            // rows: the product of all dimensions but the fastest
  int dimensions = 1;
  std::span<const uint8_t> bytes;  // exactly rows * row_bytes(cols), inside the file
};

struct GgufFile {
  GgufMetadata metadata;
  std::vector<GgufTensor> tensors;  // in the file's order; names differ, bytes do not overlap
};

// `file` is only for messages; `bytes` must outlive the result.
absl::StatusOr<GgufFile> parse_gguf(std::span<const uint8_t> bytes, const std::string& file);
// Its metadata alone, whatever the table of tensors says.
absl::StatusOr<GgufMetadata> parse_gguf_metadata(std::span<const uint8_t> bytes, const std::string& file);

}  // namespace halftone
