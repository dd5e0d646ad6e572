#include <algorithm>

#include "server/architecture/family_list.h"

namespace halftone {
namespace {

void make_sparse(LayerSpec& layer, const ExpertsSpec& experts) {
  layer.ffn = 0;
  layer.experts = experts;
}

// Of every decoder_sparse_step-th layer, but for those that mlp_only_layers lists.
void read_huggingface(Hyperparameters& keys, ModelSpec& spec) {
  read_qwen_windows(keys, spec);
  const char* count = keys.has("num_local_experts") ? "num_local_experts" : "num_experts";
  const ExpertsSpec experts{.count = keys.integer(count, 128),
                            .chosen = keys.integer("num_experts_per_tok", 8),
                            .ffn = keys.integer("moe_intermediate_size", 768),
                            .normalized = keys.flag("norm_topk_prob", false)};
  const int64_t step = std::max<int64_t>(1, keys.integer("decoder_sparse_step", 1));
  const std::vector<int64_t> ordinary = keys.integers("mlp_only_layers").value_or(std::vector<int64_t>());
  for (int64_t i = 0; i < spec.layer_count(); ++i) {
    const bool sparse = (i + 1) % step == 0 && std::find(ordinary.begin(), ordinary.end(), i) == ordinary.end();
    if (sparse) make_sparse(spec.layers[static_cast<size_t>(i)], experts);
  }
}

// Of every layer; the shares are normalized, which the file does not say.
void read_gguf(Hyperparameters& keys, ModelSpec& spec) {
  const ExpertsSpec experts{.count = keys.integer("expert_count"),
                            .chosen = keys.integer("expert_used_count"),
                            .ffn = keys.integer("expert_feed_forward_length"),
                            .normalized = true};
  for (LayerSpec& layer : spec.layers) make_sparse(layer, experts);
}

}  // namespace

// Qwen 3's attention; its MLPs are experts, of which each token meets a few.
constexpr Family kQwen3Moe{.name = "qwen3moe",
                           .models = "Qwen 3 with experts",
                           .huggingface_type = "qwen3_moe",
                           .huggingface_class = "Qwen3MoeForCausalLM",
                           .qkv_bias = Part::kMay,
                           .o_bias = Part::kMay,
                           .qk_norm = Part::kMust,
                           .usual_head_dim = 128,
                           .says_attention_bias = true,
                           .read_huggingface = read_huggingface,
                           .read_gguf = read_gguf};

const Family& qwen3_moe_family() { return kQwen3Moe; }

}  // namespace halftone
