#include "server/model/mode_kv_layout.h"

#include "kernels/contract/check.h"
#include "kernels/kv/kv.h"

namespace halftone {

namespace {

KvLayout layout_of(const ModelSpec& spec, size_t layers, std::string_view kv) {
  const KvFormat* format = find_kv_format(kv);
  HALFTONE_CHECK(format != nullptr);
  return make_kv_layout(*format, static_cast<int64_t>(layers), spec.layers.front().kv_heads,
                        spec.layers.front().head_dim, format->default_page_tokens);
}

}  // namespace

KvLayout mode_kv_layout(const ModelSpec& spec, const ModeWeights& weights, std::string_view kv) {
  return layout_of(spec, weights.layers.size(), kv);
}

KvLayout mode_kv_layout(const ModelSpec& spec, const Mode& mode) {
  return layout_of(spec, spec.layers.size() - mode.recipe.dropped.size(), mode.kv);
}

}  // namespace halftone
