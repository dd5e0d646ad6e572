#include "server/model/mode.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "kernels/kv/kv.h"
#include "kernels/weights/weights.h"

namespace halftone {
namespace {

constexpr std::string_view kRecipe = "recipe:";

// Embedding and head keep 8 bits in the narrow modes: they are looked up and ranked, not averaged.
Recipe uniform_recipe(const WeightChoice& body) {
  const bool integers = find_weight_format(body.format)->code_bits > 0;
  WeightChoice outer = integers ? WeightChoice{"w8"} : body;
  return {{{{TensorClass::kEmbedding, TensorClass::kHead}, 0, INT64_MAX, outer},
           {{TensorClass::kAttention, TensorClass::kMlp}, 0, INT64_MAX, body}}};
}

absl::Status unknown(std::string_view id) {
  return absl::InvalidArgumentError(
      absl::StrCat("mode \"", std::string(id), "\" is not known; known modes: ", absl::StrJoin(known_modes(), ", "),
                   "; w8g32a8, w4g128a16 and the like force a group size, a8t is one activation scale per token, "
                   "recipe:FILE is a mode of your own"));
}

absl::StatusOr<Mode> parse_uniform(std::string_view id) {
  Mode mode{std::string(id), "", {}, "a16", "kv16"};
  std::string_view rest = id;
  if (const size_t plus = id.find('+'); plus != std::string_view::npos) {
    mode.kv = std::string(id.substr(plus + 1));
    if (mode.kv == "kv16" || find_kv_format(mode.kv) == nullptr) return unknown(id);
    rest = id.substr(0, plus);
  }
  const size_t a = rest.find('a');
  if (a != std::string_view::npos) {
    mode.activations = std::string(rest.substr(a));
    if (!parse_activations(mode.activations).ok()) return unknown(id);
    rest = rest.substr(0, a);
  }
  absl::StatusOr<WeightChoice> choice = parse_weight_choice(rest);
  if (!choice.ok()) return unknown(id);
  const bool integers = find_weight_format(choice->format)->code_bits > 0;
  if (integers != (a != std::string_view::npos)) return unknown(id);
  mode.weights = choice->name();
  mode.recipe = uniform_recipe(*choice);
  return mode;
}

}  // namespace

std::vector<std::string> known_modes() {
  std::vector<std::string> ids;
  for (const WeightFormat* format : all_weight_formats()) {
    const bool integers = format->code_bits > 0;
    for (const char* activations : integers ? std::vector<const char*>{"a16", "a8"} : std::vector<const char*>{""}) {
      for (const char* kv : {"", "+kv8"}) ids.push_back(absl::StrCat(std::string(format->name), activations, kv));
    }
  }
  return ids;
}

absl::StatusOr<Mode> parse_mode(std::string_view id) {
  if (id.substr(0, kRecipe.size()) != kRecipe) return parse_uniform(id);
  absl::StatusOr<RecipeFile> file = read_recipe(std::string(id.substr(kRecipe.size())));
  if (!file.ok()) return file.status();
  return Mode{absl::StrCat(std::string(kRecipe), file->name), file->name, std::move(file->recipe),
              std::move(file->activations), std::move(file->kv)};
}

absl::StatusOr<std::vector<Mode>> parse_modes(std::string_view list) {
  std::vector<Mode> modes;
  std::vector<std::string> ids = absl::StrSplit(std::string(list), ',');
  for (const std::string& id : ids) {
    absl::StatusOr<Mode> mode = parse_mode(id);
    if (!mode.ok()) return mode.status();
    auto same = [&](const Mode& other) { return other.id == mode->id; };
    if (std::any_of(modes.begin(), modes.end(), same)) {
      return absl::InvalidArgumentError(absl::StrCat("mode \"", mode->id, "\" is listed twice"));
    }
    modes.push_back(*std::move(mode));
  }
  return modes;
}

}  // namespace halftone
