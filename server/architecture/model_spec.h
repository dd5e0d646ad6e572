// What a model is, layer by layer, whatever file it came from: the one description that readers, weights, transformer,
// KV layouts and accounts go by. Values; a family (family.h) fills them in from a checkpoint's configuration.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "kernels/contract/linear.h"

namespace halftone {

struct RopeScaling {
  enum class Kind { kNone, kLinear, kLlama3 };
  Kind kind = Kind::kNone;
  float factor = 1;
  float low_frequency_factor = 1;   // kLlama3
  float high_frequency_factor = 4;  // kLlama3
  int64_t original_context = 8192;  // kLlama3

  friend bool operator==(const RopeScaling&, const RopeScaling&) = default;
};

// One table of rotations. Layers that turn their heads alike share it.
struct RopeSpec {
  float theta = 10000;
  RopeScaling scaling;
  int64_t rotated = 0;  // dimensions of a head, from the first on: even

  friend bool operator==(const RopeSpec&, const RopeSpec&) = default;
};

// An MLP of which a token meets only a few parts: those that its router gives the largest shares.
struct ExpertsSpec {
  int64_t count = 0;  // 0: an ordinary MLP
  int64_t chosen = 0;
  int64_t ffn = 0;          // of each
  bool normalized = false;  // shares are of the chosen ones alone: they add up to one

  friend bool operator==(const ExpertsSpec&, const ExpertsSpec&) = default;
};

struct LayerSpec {
  int64_t heads = 0, kv_heads = 0, head_dim = 0;
  int64_t ffn = 0;        // of an ordinary MLP; 0 where there are experts
  int64_t window = 0;     // how many positions a token sees, its own among them; 0: all
  size_t rope = 0;        // of ModelSpec::ropes
  float score_scale = 0;  // scores are q k * score_scale
  float score_cap = 0;    // then cap * tanh(score / cap); 0: they stay
  bool qkv_bias = false;  // each of q, k and v has a bias
  bool o_bias = false;
  bool qk_norm = false;     // heads of q and k are normalized before they are turned
  bool post_norms = false;  // what attention and the MLP give is normalized before the residual stream takes it
  GateKind gate = GateKind::kSilu;
  ExpertsSpec experts = {};

  int64_t q_size() const { return heads * head_dim; }
  int64_t kv_size() const { return kv_heads * head_dim; }
  friend bool operator==(const LayerSpec&, const LayerSpec&) = default;
};

struct ModelSpec {
  std::string name;    // the checkpoint's own, or its file's; clean (clean_text.h)
  std::string family;  // Family::name
  int64_t dim = 0, vocabulary = 0;
  int64_t context = 0;  // tokens that the model was made for
  float rms_epsilon = 1e-5f;
  bool tied_head = false;     // the head is the embedding
  float embedding_scale = 1;  // of the rows that tokens become
  float logit_cap = 0;        // logits are cap * tanh(logit / cap); 0: they stay
  std::vector<RopeSpec> ropes;
  std::vector<LayerSpec> layers;

  int64_t layer_count() const { return static_cast<int64_t>(layers.size()); }
};

// head_dim ** -0.5 in float32: the score_scale of most models.
float usual_score_scale(int64_t head_dim);

// How many layers a model may have; whoever reads such a number asks before anything is made of that size.
absl::Status check_layer_count(int64_t layers, const std::string& file);
// Every number in a range in which nothing that is computed from it can overflow, and which our kernels serve; heads
// and sizes fit together. INVALID_ARGUMENT names `file`, the number and what was expected.
absl::Status check_spec(const ModelSpec& spec, const std::string& file);

}  // namespace halftone
