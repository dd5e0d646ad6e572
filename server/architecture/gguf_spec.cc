// What a GGUF file's metadata says of every family alike.
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "server/architecture/family.h"

namespace halftone {
namespace {

RopeSpec read_rope(const Family& family, Hyperparameters& keys, int64_t head_dim) {
  RopeSpec spec;
  spec.theta = static_cast<float>(keys.number("rope.freq_base", family.usual_rope_theta));
  const bool older = keys.has("rope.scale_linear");
  const std::string type = keys.text("rope.scaling.type", older ? "linear" : "none");
  if (type == "linear") {
    spec.scaling.kind = RopeScaling::Kind::kLinear;
    spec.scaling.factor = static_cast<float>(keys.number(older ? "rope.scale_linear" : "rope.scaling.factor"));
  } else if (type != "none") {
    keys.complain(absl::UnimplementedError(absl::StrCat(
        keys.file(), ": rope scaling \"", type, "\", expected one of none, linear, or a tensor rope_freqs.weight")));
  }
  spec.rotated = keys.integer("rope.dimension_count", head_dim);
  if (spec.rotated != head_dim) {
    keys.complain(absl::UnimplementedError(absl::StrCat(keys.file(), ": ", spec.rotated, " of the ", head_dim,
                                                        " dimensions of a head are rotated, expected all")));
  }
  return spec;
}

int64_t read_head_dim(Hyperparameters& keys, int64_t dim, int64_t heads) {
  const bool divides = heads > 0 && dim % heads == 0;
  if (!keys.has("attention.key_length") && !divides) {
    keys.complain(absl::InvalidArgumentError(
        absl::StrCat(keys.file(), ": embedding length ", dim, ", expected a multiple of the ", heads, " heads")));
  }
  const int64_t head_dim = keys.integer("attention.key_length", divides ? dim / heads : 0);
  const int64_t value_length = keys.integer("attention.value_length", head_dim);
  if (value_length != head_dim) {
    keys.complain(absl::UnimplementedError(absl::StrCat(keys.file(), ": values of ", value_length,
                                                        " in a head, keys of ", head_dim, ", expected the same")));
  }
  return head_dim;
}

}  // namespace

absl::StatusOr<ModelSpec> read_gguf_spec(const Family& family, Hyperparameters& keys, int64_t vocabulary) {
  ModelSpec spec;
  spec.family = std::string(family.name);
  const int64_t layers = keys.integer("block_count");
  if (keys.status().ok()) keys.complain(check_layer_count(layers, keys.file()));
  if (!keys.status().ok()) return keys.status();
  spec.dim = keys.integer("embedding_length");
  const std::vector<int64_t> heads = keys.by_layer("attention.head_count", layers);
  const std::vector<int64_t> ffn = keys.by_layer("feed_forward_length", layers);
  spec.context = keys.integer("context_length");
  spec.vocabulary = vocabulary;
  spec.rms_epsilon = static_cast<float>(keys.number("attention.layer_norm_rms_epsilon"));
  const std::vector<int64_t> kv_heads =
      keys.has("attention.head_count_kv") ? keys.by_layer("attention.head_count_kv", layers) : heads;
  const int64_t head_dim = read_head_dim(keys, spec.dim, heads.front());
  spec.ropes = {read_rope(family, keys, head_dim)};
  for (size_t i = 0; i < heads.size(); ++i) {
    spec.layers.push_back(usual_layer(family, heads[i], kv_heads[i], head_dim, ffn[i]));
  }
  if (family.read_gguf != nullptr) family.read_gguf(keys, spec);
  if (!keys.status().ok()) return keys.status();
  if (absl::Status status = check_spec(spec, keys.file()); !status.ok()) return status;
  return spec;
}

void set_gemma_gguf_scores(int64_t layers_of_27b, ModelSpec& spec) {
  if (spec.layer_count() != layers_of_27b) return;
  for (LayerSpec& layer : spec.layers) {
    if (layer.heads > 0) layer.score_scale = usual_score_scale(spec.dim / layer.heads);
  }
}

void read_gguf_window(Hyperparameters& keys, ModelSpec& spec) {
  const int64_t window = keys.integer("attention.sliding_window", 0);
  for (LayerSpec& layer : spec.layers) layer.window = window;
}

}  // namespace halftone
