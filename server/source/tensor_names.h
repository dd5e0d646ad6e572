// The canonical name of a tensor (model_source.h) from its name in a file. Any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace halftone {

struct CanonicalName {
  std::string text;    // "embedding", "layers.3.q"
  std::string part;    // "embedding", "q": what it is in its layer
  int64_t layer = -1;  // -1: of no layer
};

// Nothing: a tensor that no model of ours has.
std::optional<CanonicalName> canonical_gguf_name(std::string_view name);
std::optional<CanonicalName> canonical_huggingface_name(std::string_view name);

// Tensors that some exporters write and that carry nothing: tables that follow from the configuration.
bool is_derived_tensor(std::string_view name);

}  // namespace halftone
