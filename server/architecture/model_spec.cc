#include "server/architecture/model_spec.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "server/ranges.h"

namespace halftone {
namespace {

constexpr int64_t kMostLayers = 4096;
constexpr int64_t kMostExperts = 1024, kMostChosen = 32;
constexpr int64_t kMostHeadDim = 256, kMostHeadsOfAKvHead = 64;  // what attention's kernels take

absl::Status check_range(const std::string& file, const char* name, double value, double least, double most) {
  if (value >= least && value <= most) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(file, ": ", name, " = ", value, ", expected ", least, " to ", most));
}

absl::Status check_count(const std::string& file, const char* name, int64_t value, int64_t most) {
  return check_range(file, name, static_cast<double>(value), 1, static_cast<double>(most));
}

absl::Status check_rope(const RopeSpec& rope, const std::string& file) {
  const RopeScaling& scaling = rope.scaling;
  absl::Status status = check_range(file, "rope theta", rope.theta, 1, 1e12);
  if (scaling.kind == RopeScaling::Kind::kNone) return status;
  status.Update(check_range(file, "rope scaling factor", scaling.factor, 1, 1e6));
  if (scaling.kind == RopeScaling::Kind::kLinear) return status;
  status.Update(check_range(file, "rope scaling low_freq_factor", scaling.low_frequency_factor, 1e-3, 1e6));
  status.Update(check_range(file, "rope scaling high_freq_factor", scaling.high_frequency_factor, 1e-3, 1e6));
  status.Update(
      check_range(file, "rope scaling original context", static_cast<double>(scaling.original_context), 1, 1e9));
  if (status.ok() && !(scaling.high_frequency_factor > scaling.low_frequency_factor)) {
    return absl::InvalidArgumentError(absl::StrCat(file, ": rope scaling high_freq_factor ",
                                                   scaling.high_frequency_factor, " is not above low_freq_factor ",
                                                   scaling.low_frequency_factor));
  }
  return status;
}

absl::Status check_experts(const ExpertsSpec& experts, const std::string& where) {
  absl::Status status = check_count(where, "experts", experts.count, kMostExperts);
  status.Update(check_count(where, "experts of a token", experts.chosen, std::min(experts.count, kMostChosen)));
  status.Update(check_count(where, "feed-forward length of an expert", experts.ffn, 1 << 24));
  return status;
}

absl::Status check_layer(const LayerSpec& layer, const std::string& where) {
  absl::Status status = check_count(where, "heads", layer.heads, 1 << 14);
  status.Update(check_count(where, "KV heads", layer.kv_heads, 1 << 14));
  status.Update(check_count(where, "head size", layer.head_dim, kMostHeadDim));
  status.Update(layer.experts.count == 0 ? check_count(where, "feed-forward length", layer.ffn, 1 << 24)
                                         : check_experts(layer.experts, where));
  status.Update(check_range(where, "sliding window", static_cast<double>(layer.window), 0, 1 << 30));
  status.Update(check_range(where, "scale of the scores", layer.score_scale, 1e-6, 1e6));
  status.Update(check_range(where, "cap of the scores", layer.score_cap, 0, 1e6));
  if (!status.ok()) return status;
  if (layer.heads % layer.kv_heads != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(where, ": ", layer.heads, " heads, expected a multiple of the ", layer.kv_heads, " KV heads"));
  }
  if (layer.heads / layer.kv_heads > kMostHeadsOfAKvHead) {
    return absl::InvalidArgumentError(absl::StrCat(where, ": ", layer.heads, " heads share ", layer.kv_heads,
                                                   " KV heads, expected at most ", kMostHeadsOfAKvHead, " to each"));
  }
  if (layer.head_dim % 2 != 0) {
    return absl::InvalidArgumentError(absl::StrCat(where, ": head size ", layer.head_dim, ", expected an even number"));
  }
  return absl::OkStatus();
}

}  // namespace

float usual_score_scale(int64_t head_dim) { return 1.0f / std::sqrt(static_cast<float>(head_dim)); }

absl::Status check_layer_count(int64_t layers, const std::string& file) {
  return check_count(file, "layers", layers, kMostLayers);
}

absl::Status check_spec(const ModelSpec& spec, const std::string& file) {
  absl::Status status = check_layer_count(spec.layer_count(), file);
  status.Update(check_count(file, "embedding length", spec.dim, 1 << 20));
  const bool uniform = std::all_of(spec.layers.begin(), spec.layers.end(),
                                   [&](const LayerSpec& layer) { return layer == spec.layers.front(); });
  for (size_t i = 0; i < spec.layers.size() && status.ok(); ++i) {
    status = check_layer(spec.layers[i], uniform ? file : absl::StrCat(file, ": layer ", i));
  }
  status.Update(check_count(file, "vocabulary", spec.vocabulary, 1 << 26));
  status.Update(check_count(file, "context length", spec.context, static_cast<int64_t>(ranges::kContextTokens.high)));
  status.Update(check_range(file, "rms epsilon", spec.rms_epsilon, 0, 1));
  status.Update(check_range(file, "cap of the logits", spec.logit_cap, 0, 1e6));
  for (const RopeSpec& rope : spec.ropes) status.Update(check_rope(rope, file));
  return status;
}

}  // namespace halftone
