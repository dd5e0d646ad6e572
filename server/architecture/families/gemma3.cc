#include <cmath>
#include <memory>

#include "server/architecture/family_list.h"

namespace halftone {
namespace {

constexpr int64_t kUsualPattern = 6;  // five layers that look through a window, then one that sees everything
constexpr double kLocalTheta = 10000;
constexpr size_t kGlobalRope = 0, kLocalRope = 1;

constexpr TensorSpelling kSpellings[] = {
    {TensorPart::kMlpNorm, "mlp_norm", "pre_feedforward_layernorm.weight", "ffn_norm.weight"},
};

// Hugging Face computes this scale in the weights' type, llama.cpp and we in float32.
void scale_embedding(ModelSpec& spec) { spec.embedding_scale = std::sqrt(static_cast<float>(spec.dim)); }

// Layers that look through a window turn their heads by a base of their own.
void make_local(RopeSpec local, ModelSpec& spec) {
  local.rotated = spec.ropes[kGlobalRope].rotated;
  spec.ropes.push_back(local);
  for (LayerSpec& layer : spec.layers) layer.rope = layer.window > 0 ? kLocalRope : kGlobalRope;
}

// Newer files have an object for each kind of layers, older ones a second base. Scaling is the global one's alone.
RopeSpec read_ropes(Hyperparameters& keys, ModelSpec& spec) {
  RopeSpec local;
  local.theta = static_cast<float>(keys.number("rope_local_base_freq", kLocalTheta));
  const std::unique_ptr<Hyperparameters> both = keys.object("rope_parameters");
  const std::unique_ptr<Hyperparameters> of_global = both ? both->object("full_attention") : nullptr;
  const std::unique_ptr<Hyperparameters> of_local = both ? both->object("sliding_attention") : nullptr;
  if (of_global && of_local) {
    const int64_t rotated = spec.ropes[kGlobalRope].rotated;
    spec.ropes[kGlobalRope] = read_huggingface_rope(gemma3_family(), keys, "rope_parameters", of_global.get());
    spec.ropes[kGlobalRope].rotated = rotated;
    local.theta = static_cast<float>(of_local->number("rope_theta", kLocalTheta));
    keys.complain(of_local->status());
  }
  return local;
}

void read_huggingface(Hyperparameters& keys, ModelSpec& spec) {
  constexpr const char* kPattern = "sliding_window_pattern";
  scale_embedding(spec);
  const int64_t window = keys.integer("sliding_window", 4096);
  if (!read_layer_types(keys, window, spec)) {
    set_windows(keys, kPattern, keys.integer(kPattern, kUsualPattern), window, spec);
  }
  make_local(read_ropes(keys, spec), spec);
  read_gemma_scores(keys, spec);
  for (const char* cap : {"attn_logit_softcapping", "final_logit_softcapping"}) {
    if (keys.has(cap)) keys.not_here(cap, "a cap, expected null");
  }
}

void read_gguf(Hyperparameters& keys, ModelSpec& spec) {
  constexpr const char* kPattern = "attention.sliding_window_pattern";
  constexpr int64_t kLayersOf27B = 62;
  scale_embedding(spec);
  set_windows(keys, kPattern, keys.integer(kPattern, kUsualPattern), keys.integer("attention.sliding_window"), spec);
  RopeSpec local;
  local.theta = static_cast<float>(keys.number("rope.freq_base_swa", kLocalTheta));
  make_local(local, spec);
  set_gemma_gguf_scores(kLayersOf27B, spec);
}

}  // namespace

// Norms before and after attention and MLP, GELU in its gate, RMS norms on heads; most layers see a window and turn
// their heads by a base of their own. Text only. Hugging Face's files hold the norms' weights less one.
constexpr Family kGemma3{.name = "gemma3",
                         .models = "Gemma 3, text",
                         .huggingface_type = "gemma3_text",
                         .huggingface_class = "Gemma3ForCausalLM",
                         .qk_norm = Part::kMust,
                         .post_norms = true,
                         .gate = GateKind::kGeluTanh,
                         .activation_key = "hidden_activation",
                         .activation = "gelu_pytorch_tanh",
                         .usual_context = 131072,
                         .usual_head_dim = 256,
                         .usual_rope_theta = 1e6f,
                         .usual_tied_head = true,
                         .says_attention_bias = true,
                         .huggingface_norm_offset = 1,
                         .spellings = kSpellings,
                         .read_huggingface = read_huggingface,
                         .read_gguf = read_gguf};

const Family& gemma3_family() { return kGemma3; }

}  // namespace halftone
