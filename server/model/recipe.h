// Which weight format each matrix of a model is stored in: by tensor class and layer. A uniform mode is a recipe of two
// rows; a mixed one is read from a file.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/contract/linear.h"
#include "server/architecture/tensor_part.h"

namespace halftone {

struct WeightChoice {
  std::string format;       // "w4"
  int group = 0;            // 0: the format's own choice, and the source's codes are taken over where they fit
  bool requantize = false;  // round the source's values even where its codes could be taken over

  // "w4", "w4g32", "w4g32-requantized": what shares bytes, and who owns them in the ledger.
  std::string name() const;
  friend bool operator==(const WeightChoice&, const WeightChoice&) = default;
};

struct RecipeRow {
  std::vector<TensorClass> classes;
  int64_t first_layer = 0, last_layer = INT64_MAX;  // embedding and head have no layer
  WeightChoice choice;
};

struct Recipe {
  std::vector<RecipeRow> rows;        // the first that matches counts
  std::vector<int64_t> dropped = {};  // layers that are left out, ascending

  // Null: no row matches.
  const WeightChoice* choose(TensorClass tensor_class, int64_t layer) const;
  bool drops(int64_t layer) const;
  // One line that says everything: equal recipes have equal ones.
  std::string text() const;
};

// The name, KV format and activations that a recipe's file states beside its rows.
struct RecipeFile {
  std::string name;
  std::string activations = "a16";
  std::string kv = "kv16";
  Recipe recipe;
};

// "w4", "w4g32", "bf16", ...; nothing in it about activations. INVALID_ARGUMENT names the formats that exist.
absl::StatusOr<WeightChoice> parse_weight_choice(std::string_view text);
absl::StatusOr<Activations> parse_activations(std::string_view text);  // a16, a8, a8t

// A JSON object (docs/MODES.md). `file` is for messages.
absl::StatusOr<RecipeFile> parse_recipe(std::string_view json, const std::string& file);
absl::StatusOr<RecipeFile> read_recipe(const std::string& path);

}  // namespace halftone
