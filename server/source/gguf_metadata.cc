#include "server/source/gguf_metadata.h"

namespace halftone {

std::optional<int64_t> GgufMetadata::integer(std::string_view key) const {
  const int64_t* value = find<int64_t>(key);
  return value ? std::optional<int64_t>(*value) : std::nullopt;
}

std::optional<double> GgufMetadata::number(std::string_view key) const {
  if (const double* value = find<double>(key)) return *value;
  if (const int64_t* value = find<int64_t>(key)) return static_cast<double>(*value);
  return std::nullopt;
}

std::optional<std::string> GgufMetadata::text(std::string_view key) const {
  const std::string* value = find<std::string>(key);
  return value ? std::optional<std::string>(*value) : std::nullopt;
}

std::optional<bool> GgufMetadata::flag(std::string_view key) const {
  const bool* value = find<bool>(key);
  return value ? std::optional<bool>(*value) : std::nullopt;
}

}  // namespace halftone
