#include "server/architecture/family.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/architecture/family_list.h"

namespace halftone {

std::span<const Family* const> all_families() { return kFamilies; }

const Family* find_family(std::string_view name) {
  for (const Family* family : all_families()) {
    if (family->name == name) return family;
  }
  return nullptr;
}

const Family* find_huggingface_family(std::string_view type) {
  for (const Family* family : all_families()) {
    if (family->huggingface_type == type || family->huggingface_class == type) return family;
  }
  return nullptr;
}

absl::Status unknown_family(const std::string& file, std::string_view shown_name) {
  std::vector<std::string> known;
  for (const Family* family : all_families()) {
    known.push_back(absl::StrCat(std::string(family->name), " (", std::string(family->models), ")"));
  }
  return absl::UnimplementedError(absl::StrCat(file, ": architecture \"", std::string(shown_name),
                                               "\" is not known; known ones: ", absl::StrJoin(known, ", ")));
}

const TensorSpelling& spelling_of(const Family& family, TensorPart part) {
  for (const TensorSpelling& spelling : family.spellings) {
    if (spelling.part == part) return spelling;
  }
  return llama_spelling(part);
}

void set_windows(Hyperparameters& keys, const char* key, int64_t pattern, int64_t window, ModelSpec& spec) {
  if (pattern < 1) {
    keys.complain(absl::InvalidArgumentError(absl::StrCat(keys.name(key), " = ", pattern, ", expected at least 1")));
    return;
  }
  for (size_t i = 0; i < spec.layers.size(); ++i) {
    spec.layers[i].window = (static_cast<int64_t>(i) + 1) % pattern != 0 ? window : 0;
  }
}

LayerSpec usual_layer(const Family& family, int64_t heads, int64_t kv_heads, int64_t head_dim, int64_t ffn) {
  return {.heads = heads,
          .kv_heads = kv_heads,
          .head_dim = head_dim,
          .ffn = ffn,
          .score_scale = usual_score_scale(head_dim),
          .qkv_bias = family.qkv_bias != Part::kNever,
          .o_bias = family.o_bias != Part::kNever,
          .qk_norm = family.qk_norm != Part::kNever,
          .post_norms = family.post_norms,
          .gate = family.gate};
}

void drop_absent_parts(const Family& family, const std::function<bool(TensorPart)>& has, ModelSpec& spec) {
  const bool qkv_bias =
      family.qkv_bias != Part::kMay || has(TensorPart::kQBias) || has(TensorPart::kKBias) || has(TensorPart::kVBias);
  const bool o_bias = family.o_bias != Part::kMay || has(TensorPart::kOBias);
  const bool qk_norm = family.qk_norm != Part::kMay || has(TensorPart::kQNorm) || has(TensorPart::kKNorm);
  for (LayerSpec& layer : spec.layers) {
    layer.qkv_bias = layer.qkv_bias && qkv_bias;
    layer.o_bias = layer.o_bias && o_bias;
    layer.qk_norm = layer.qk_norm && qk_norm;
  }
}

}  // namespace halftone
