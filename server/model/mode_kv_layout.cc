#include "server/model/mode_kv_layout.h"

#include <span>
#include <vector>

#include "kernels/contract/check.h"
#include "kernels/kv/kv.h"

namespace halftone {

namespace {

KvLayout layout_of(std::span<const KvLayerShape> layers, std::string_view kv) {
  const KvFormat* format = find_kv_format(kv);
  HALFTONE_CHECK(format != nullptr);
  return make_kv_layout(*format, layers, format->default_page_tokens);
}

}  // namespace

KvLayout mode_kv_layout(const ModelSpec& spec, const ModeWeights& weights, std::string_view kv) {
  std::vector<KvLayerShape> layers;
  for (const LayerWeights& of_layer : weights.layers) {
    const LayerSpec& layer = spec.layers[static_cast<size_t>(of_layer.layer)];
    layers.push_back({layer.kv_heads, layer.head_dim});
  }
  return layout_of(layers, kv);
}

KvLayout mode_kv_layout(const ModelSpec& spec, const Mode& mode) {
  std::vector<KvLayerShape> layers;
  for (int64_t i = 0; i < spec.layer_count(); ++i) {
    const LayerSpec& layer = spec.layers[static_cast<size_t>(i)];
    if (!mode.recipe.drops(i)) layers.push_back({layer.kv_heads, layer.head_dim});
  }
  return layout_of(layers, mode.kv);
}

}  // namespace halftone
