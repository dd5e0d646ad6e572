#include "server/model/mode.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace halftone {
namespace {

struct WeightChoice {
  const char* id;
  const char* body;
  const char* embedding;
};

// Embedding and head keep 8 bits in the narrow modes: they are looked up and ranked, not averaged.
constexpr WeightChoice kWeights[] = {
    {"f32", "f32", "f32"}, {"bf16", "bf16", "bf16"}, {"w8a16", "w8", "w8"}, {"w4a16", "w4", "w8"}};
constexpr const char* kKvFormats[] = {"kv16", "kv8"};

Mode make_mode(const WeightChoice& weights, std::string_view kv) {
  std::string suffix = kv == "kv16" ? "" : "+" + std::string(kv);
  return {weights.id + suffix, weights.body, weights.embedding, "a16", std::string(kv)};
}

}  // namespace

std::vector<std::string> known_modes() {
  std::vector<std::string> ids;
  for (const WeightChoice& weights : kWeights) {
    for (const char* kv : kKvFormats) ids.push_back(make_mode(weights, kv).id);
  }
  return ids;
}

absl::StatusOr<Mode> parse_mode(std::string_view id) {
  for (const WeightChoice& weights : kWeights) {
    for (const char* kv : kKvFormats) {
      Mode mode = make_mode(weights, kv);
      if (mode.id == id) return mode;
    }
  }
  return absl::InvalidArgumentError(
      absl::StrCat("mode \"", std::string(id), "\" is not known; known modes: ", absl::StrJoin(known_modes(), ", ")));
}

absl::StatusOr<std::vector<Mode>> parse_modes(std::string_view list) {
  std::vector<Mode> modes;
  std::vector<std::string> ids = absl::StrSplit(std::string(list), ',');
  for (const std::string& id : ids) {
    absl::StatusOr<Mode> mode = parse_mode(id);
    if (!mode.ok()) return mode.status();
    auto same = [&](const Mode& other) { return other.id == mode->id; };
    if (std::any_of(modes.begin(), modes.end(), same)) {
      return absl::InvalidArgumentError(absl::StrCat("mode \"", id, "\" is listed twice"));
    }
    modes.push_back(*std::move(mode));
  }
  return modes;
}

}  // namespace halftone
