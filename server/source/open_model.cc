#include <algorithm>
#include <filesystem>
#include <map>
#include <vector>

#include "absl/strings/str_join.h"
#include "server/source/gguf_model.h"
#include "server/source/huggingface_model.h"
#include "server/source/message.h"
#include "server/source/model_name.h"
#include "server/source/model_source.h"

namespace halftone {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMostNamed = 8;

// The GGUF models of a directory: of each the file, or the first part, by what its parts have in common.
std::vector<std::string> gguf_models(const std::string& directory) {
  std::map<std::string, std::string> models;
  std::error_code error;
  for (fs::directory_iterator entry(directory, error), end; !error && entry != end; entry.increment(error)) {
    const std::string path = entry->path().string();
    if (!path.ends_with(".gguf") || entry->is_directory(error)) continue;
    const std::optional<GgufPartName> part = gguf_part_name(path);
    std::string& first = models[part ? message(part->prefix, "/", part->count) : path];
    first = first.empty() ? path : std::min(first, path);
  }
  std::vector<std::string> paths;
  paths.reserve(models.size());
  for (const auto& [model, path] : models) paths.push_back(path);
  return paths;
}

bool has_safetensors(const std::string& directory) {
  std::error_code ignored;
  return fs::exists(fs::path(directory) / "model.safetensors", ignored) ||
         fs::exists(fs::path(directory) / "model.safetensors.index.json", ignored);
}

absl::StatusOr<ModelSource> open_directory(const std::string& directory) {
  if (has_safetensors(directory)) return open_huggingface(directory);
  const std::vector<std::string> models = gguf_models(directory);
  if (models.size() == 1) return open_gguf(models.front());
  if (models.empty()) return open_huggingface(directory);
  std::vector<std::string> names;
  for (const std::string& path : models) {
    if (names.size() < kMostNamed) names.push_back(shown(fs::path(path).filename().string()));
  }
  return absl::InvalidArgumentError(message(directory, ": holds ", models.size(),
                                            " GGUF models, expected one; name a file: ", absl::StrJoin(names, ", "),
                                            models.size() > names.size() ? ", ..." : ""));
}

}  // namespace

absl::StatusOr<ModelSource> open_model(const std::string& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored) ? open_directory(snapshot_directory(path)) : open_gguf(path);
}

}  // namespace halftone
