// A compression mode: what a request names and a metric is labelled with. An id, a recipe for the weights, an
// activation format and a KV format.
//
//   id = weights [activations] ["+" kv]      bf16, bf16+kv8, w8a16, w4a8+kv8, w4g32a8, w8a8t
//      | "recipe:" name                      read from the file FILE of "recipe:FILE"
//
// Ids are canonical: kv16 has no suffix, the weight formats that hold plain numbers have no activation suffix.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "server/model/recipe.h"

namespace halftone {

struct Mode {
  std::string id;
  std::string weights;  // "w4", "w4g32"; a recipe's name
  Recipe recipe;
  std::string activations;  // "a16", "a8", "a8t"
  std::string kv;           // "kv16", "kv8"
};

// INVALID_ARGUMENT names the modes that exist; a recipe's errors name the file and the field.
absl::StatusOr<Mode> parse_mode(std::string_view id);
// A comma-separated list, each mode once.
absl::StatusOr<std::vector<Mode>> parse_modes(std::string_view list);
// Without forced groups and recipes.
std::vector<std::string> known_modes();

}  // namespace halftone
