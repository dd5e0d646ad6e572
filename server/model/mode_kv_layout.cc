#include "server/model/mode_kv_layout.h"

#include "kernels/contract/check.h"
#include "kernels/kv/kv.h"

namespace halftone {

namespace {

KvLayout layout_of(const ModelConfig& config, size_t layers, std::string_view kv) {
  const KvFormat* format = find_kv_format(kv);
  HALFTONE_CHECK(format != nullptr);
  return make_kv_layout(*format, static_cast<int64_t>(layers), config.kv_heads, config.head_dim,
                        format->default_page_tokens);
}

}  // namespace

KvLayout mode_kv_layout(const ModelConfig& config, const ModeWeights& weights, std::string_view kv) {
  return layout_of(config, weights.layers.size(), kv);
}

KvLayout mode_kv_layout(const ModelConfig& config, const Mode& mode) {
  return layout_of(config, static_cast<size_t>(config.layers) - mode.recipe.dropped.size(), mode.kv);
}

}  // namespace halftone
