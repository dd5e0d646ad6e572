#include "server/model/mode_kv_layout.h"

#include "kernels/contract/check.h"
#include "kernels/kv/kv.h"

namespace halftone {

KvLayout mode_kv_layout(const ModelConfig& config, const ModeWeights& weights, std::string_view kv) {
  const KvFormat* format = find_kv_format(kv);
  HALFTONE_CHECK(format != nullptr);
  return make_kv_layout(*format, static_cast<int64_t>(weights.layers.size()), config.kv_heads, config.head_dim,
                        format->default_page_tokens);
}

}  // namespace halftone
