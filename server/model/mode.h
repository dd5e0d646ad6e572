// A compression mode: what a request names and a metric is labelled with. An id, the weight format of each tensor
// class, an activation format and a KV format.
//
//   id = weights [activations] ["+" kv]      bf16, bf16+kv8, f32, w8a16, w4a16, w4a16+kv8
//
// Ids are canonical: kv16 has no suffix, the 16-bit-and-wider weight formats have no activation suffix.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace halftone {

enum class TensorClass { kEmbedding, kBody, kHead };

struct Mode {
  std::string id;
  std::string body;         // weight format of the layers' matrices
  std::string embedding;    // of the embedding and the head
  std::string activations;  // "a16"
  std::string kv;           // "kv16", "kv8"

  const std::string& format(TensorClass tensor_class) const {
    return tensor_class == TensorClass::kBody ? body : embedding;
  }
  // Equal recipes share weights.
  std::string recipe() const { return body + "/" + embedding; }
};

// INVALID_ARGUMENT names the modes that exist.
absl::StatusOr<Mode> parse_mode(std::string_view id);
// A comma-separated list, each mode once.
absl::StatusOr<std::vector<Mode>> parse_modes(std::string_view list);
std::vector<std::string> known_modes();

}  // namespace halftone
