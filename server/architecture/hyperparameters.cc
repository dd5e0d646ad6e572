#include "server/architecture/hyperparameters.h"

#include "absl/strings/str_cat.h"

namespace halftone {

void Hyperparameters::not_here(const char* key, std::string_view what) {
  complain(absl::UnimplementedError(absl::StrCat(name(key), ": ", std::string(what))));
}

std::vector<int64_t> Hyperparameters::by_layer(const char* key, int64_t layers, std::optional<int64_t> fallback) {
  const std::optional<std::vector<int64_t>> list = integers(key);
  if (list && static_cast<int64_t>(list->size()) == layers) return *list;
  if (list) {
    complain(absl::InvalidArgumentError(
        absl::StrCat(name(key), " is a list of ", list->size(), ", expected one for each of the ", layers, " layers")));
  }
  return std::vector<int64_t>(static_cast<size_t>(layers), list ? 0 : integer(key, fallback));
}

}  // namespace halftone
