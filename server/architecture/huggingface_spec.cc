// What config.json says of every family alike.
#include <algorithm>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "server/architecture/family.h"

namespace halftone {
namespace {

// `rope` is the object with the scaling's own keys; `keys` the file's, which older ones have beside it.
RopeScaling read_scaling(Hyperparameters& keys, const char* key, Hyperparameters& rope) {
  RopeScaling scaling;
  const std::string type = rope.has("rope_type") ? rope.text("rope_type") : rope.text("type", "default");
  if (type == "linear" || type == "llama3") scaling.factor = static_cast<float>(rope.number("factor"));
  if (type == "linear") {
    scaling.kind = RopeScaling::Kind::kLinear;
  } else if (type == "llama3") {
    scaling.kind = RopeScaling::Kind::kLlama3;
    scaling.low_frequency_factor = static_cast<float>(rope.number("low_freq_factor"));
    scaling.high_frequency_factor = static_cast<float>(rope.number("high_freq_factor"));
    scaling.original_context = rope.has("original_max_position_embeddings")
                                   ? rope.integer("original_max_position_embeddings")
                                   : keys.integer("original_max_position_embeddings");
  } else if (type != "default") {
    keys.not_here(key, absl::StrCat("RoPE of type \"", type, "\", expected default, linear or llama3"));
  }
  if (rope.number("partial_rotary_factor", 1.0) != 1.0) {
    keys.not_here(key, "only a part of each head is rotated, expected all of it");
  }
  return scaling;
}

void refuse_what_we_do_not_run(const Family& family, Hyperparameters& keys) {
  const std::string expected(family.activation), activation = keys.text(family.activation_key, expected);
  if (activation != expected) {
    keys.not_here(family.activation_key, absl::StrCat("\"", activation, "\", expected ", expected));
  }
  if (keys.flag("mlp_bias", false)) keys.not_here("mlp_bias", "biases in the feed-forward layers, expected none");
  if (keys.has("quantization_config")) {
    keys.not_here("quantization_config", "quantized tensors, expected F32, F16 or BF16");
  }
  if (keys.number("partial_rotary_factor", 1.0) != 1.0) {
    keys.not_here("partial_rotary_factor", "only a part of each head is rotated, expected all of it");
  }
}

int64_t read_head_dim(const Family& family, Hyperparameters& keys, int64_t dim, int64_t heads) {
  if (keys.has("head_dim")) return keys.integer("head_dim");
  if (family.usual_head_dim > 0) return family.usual_head_dim;
  if (heads > 0 && dim % heads == 0) return dim / heads;
  keys.complain(absl::InvalidArgumentError(
      absl::StrCat(keys.name("hidden_size"), " = ", dim, ", expected a multiple of the ", heads, " heads")));
  return 0;
}

}  // namespace

absl::StatusOr<ModelSpec> read_huggingface_spec(const Family& family, Hyperparameters& keys) {
  ModelSpec spec;
  spec.family = std::string(family.name);
  const int64_t layers = keys.integer("num_hidden_layers");
  if (keys.status().ok()) keys.complain(check_layer_count(layers, keys.file()));
  if (!keys.status().ok()) return keys.status();
  spec.dim = keys.integer("hidden_size");
  const std::vector<int64_t> heads = keys.by_layer("num_attention_heads", layers);
  const std::vector<int64_t> ffn = keys.by_layer("intermediate_size", layers);
  spec.vocabulary = keys.integer("vocab_size");
  spec.context = keys.integer("max_position_embeddings", family.usual_context);
  const std::vector<int64_t> kv_heads =
      keys.has("num_key_value_heads") ? keys.by_layer("num_key_value_heads", layers) : heads;
  const int64_t head_dim = read_head_dim(family, keys, spec.dim, heads.front());
  spec.rms_epsilon = static_cast<float>(keys.number("rms_norm_eps", 1e-6));
  spec.tied_head = keys.flag("tie_word_embeddings", family.usual_tied_head);
  const char* rope_key = keys.has("rope_parameters") ? "rope_parameters" : "rope_scaling";
  spec.ropes = {read_huggingface_rope(family, keys, rope_key, keys.object(rope_key).get())};
  spec.ropes[0].rotated = head_dim;
  for (size_t i = 0; i < heads.size(); ++i) {
    spec.layers.push_back(usual_layer(family, heads[i], kv_heads[i], head_dim, ffn[i]));
  }
  if (family.read_huggingface != nullptr) family.read_huggingface(keys, spec);
  refuse_what_we_do_not_run(family, keys);
  if (!keys.status().ok()) return keys.status();
  if (absl::Status status = check_spec(spec, keys.file()); !status.ok()) return status;
  return spec;
}

RopeSpec read_huggingface_rope(const Family& family, Hyperparameters& keys, const char* key, Hyperparameters* object) {
  RopeSpec spec;
  spec.theta = static_cast<float>(keys.number("rope_theta", family.usual_rope_theta));
  if (object == nullptr) return spec;
  spec.theta = static_cast<float>(object->number("rope_theta", spec.theta));
  spec.scaling = read_scaling(keys, key, *object);
  keys.complain(object->status());
  return spec;
}

bool read_layer_types(Hyperparameters& keys, int64_t window, ModelSpec& spec) {
  const std::optional<std::vector<std::string>> types = keys.texts("layer_types");
  if (!types) return false;
  if (types->size() != spec.layers.size()) {
    keys.complain(absl::InvalidArgumentError(
        absl::StrCat(keys.name("layer_types"), " names ", types->size(), " layers, expected ", spec.layers.size())));
    return true;
  }
  for (size_t i = 0; i < types->size(); ++i) spec.layers[i].window = (*types)[i] == "sliding_attention" ? window : 0;
  return true;
}

void read_gemma_scores(Hyperparameters& keys, ModelSpec& spec) {
  const float score_scale = usual_score_scale(keys.integer("query_pre_attn_scalar", 256));
  for (LayerSpec& layer : spec.layers) layer.score_scale = score_scale;
  if (keys.flag("use_bidirectional_attention", false)) {
    keys.not_here("use_bidirectional_attention", "attention to later tokens, expected false");
  }
}

void read_qwen_windows(Hyperparameters& keys, ModelSpec& spec) {
  if (!keys.flag("use_sliding_window", false) || !keys.has("sliding_window")) return;
  const int64_t window = keys.integer("sliding_window");
  if (read_layer_types(keys, window, spec)) return;
  const int64_t without = std::max<int64_t>(0, keys.integer("max_window_layers", 28));
  for (int64_t i = without; i < spec.layer_count(); ++i) spec.layers[static_cast<size_t>(i)].window = window;
}

}  // namespace halftone
