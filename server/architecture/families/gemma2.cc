#include <cmath>

#include "server/architecture/family_list.h"

namespace halftone {
namespace {

constexpr int64_t kPattern = 2;  // a layer that looks through a window, then one that sees everything

constexpr TensorSpelling kSpellings[] = {
    {TensorPart::kMlpNorm, "mlp_norm", "pre_feedforward_layernorm.weight", "ffn_norm.weight"},
};

void set_caps(float scores, float logits, ModelSpec& spec) {
  spec.embedding_scale = std::sqrt(static_cast<float>(spec.dim));
  spec.logit_cap = logits;
  for (LayerSpec& layer : spec.layers) layer.score_cap = scores;
}

// null means no cap; a file that does not name one has the usual one.
float read_cap(Hyperparameters& keys, const char* key, double usual) {
  return keys.named(key) && !keys.has(key) ? 0 : static_cast<float>(keys.number(key, usual));
}

void read_huggingface(Hyperparameters& keys, ModelSpec& spec) {
  set_caps(read_cap(keys, "attn_logit_softcapping", 50), read_cap(keys, "final_logit_softcapping", 30), spec);
  const int64_t window = keys.integer("sliding_window", 4096);
  if (!read_layer_types(keys, window, spec)) set_windows(keys, "sliding_window", kPattern, window, spec);
  read_gemma_scores(keys, spec);
}

void read_gguf(Hyperparameters& keys, ModelSpec& spec) {
  constexpr int64_t kLayersOf27B = 46;
  set_caps(static_cast<float>(keys.number("attn_logit_softcapping", 50)),
           static_cast<float>(keys.number("final_logit_softcapping", 30)), spec);
  set_windows(keys, "attention.sliding_window", kPattern, keys.integer("attention.sliding_window"), spec);
  set_gemma_gguf_scores(kLayersOf27B, spec);
}

}  // namespace

// Norms before and after attention and MLP, GELU in its gate; scores and logits are capped, every second layer sees
// everything. Hugging Face's files hold the norms' weights less one.
constexpr Family kGemma2{.name = "gemma2",
                         .models = "Gemma 2",
                         .huggingface_type = "gemma2",
                         .huggingface_class = "Gemma2ForCausalLM",
                         .post_norms = true,
                         .gate = GateKind::kGeluTanh,
                         .activation_key = "hidden_activation",
                         .activation = "gelu_pytorch_tanh",
                         .usual_context = 8192,
                         .usual_head_dim = 256,
                         .usual_tied_head = true,
                         .says_attention_bias = true,
                         .huggingface_norm_offset = 1,
                         .spellings = kSpellings,
                         .read_huggingface = read_huggingface,
                         .read_gguf = read_gguf};

const Family& gemma2_family() { return kGemma2; }

}  // namespace halftone
