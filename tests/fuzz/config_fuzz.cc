// Any text as config.json and, behind a zero byte, generation_config.json: what is accepted is in range.
#include <cstdint>
#include <string_view>

#include "kernels/contract/check.h"
#include "server/source/checkpoint.h"
#include "server/source/huggingface_config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const size_t zero = text.find('\0');
  const std::string_view generation = zero == std::string_view::npos ? "" : text.substr(zero + 1);
  auto config = halftone::read_huggingface_config(text.substr(0, zero), "config.json", generation, "generation.json");
  if (!config.ok()) return 0;
  HALFTONE_CHECK(halftone::check_spec(config->spec, "config.json").ok());
  for (const halftone::LayerSpec& layer : config->spec.layers) HALFTONE_CHECK(layer.heads % layer.kv_heads == 0);
  return 0;
}
