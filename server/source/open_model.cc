#include <filesystem>

#include "server/source/gguf_model.h"
#include "server/source/huggingface_model.h"
#include "server/source/model_source.h"

namespace halftone {

absl::StatusOr<ModelSource> open_model(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::is_directory(path, ignored) ? open_huggingface(path) : open_gguf(path);
}

}  // namespace halftone
