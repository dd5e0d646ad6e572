#include "server/source/tensor_names.h"

#include <algorithm>
#include <iterator>
#include <span>
#include <utility>

#include "server/source/message.h"

namespace halftone {
namespace {

struct Pair {
  std::string_view file, canonical;
};

constexpr Pair kGgufGlobal[] = {{"token_embd.weight", "embedding"},
                                {"output.weight", "head"},
                                {"output_norm.weight", "final_norm"},
                                {"rope_freqs.weight", "rope_factors"}};
constexpr Pair kGgufLayer[] = {{"attn_norm.weight", "attention_norm"},
                               {"attn_q.weight", "q"},
                               {"attn_k.weight", "k"},
                               {"attn_v.weight", "v"},
                               {"attn_output.weight", "o"},
                               {"attn_q.bias", "q_bias"},
                               {"attn_k.bias", "k_bias"},
                               {"attn_v.bias", "v_bias"},
                               {"attn_output.bias", "o_bias"},
                               {"attn_q_norm.weight", "q_norm"},
                               {"attn_k_norm.weight", "k_norm"},
                               {"ffn_norm.weight", "mlp_norm"},
                               {"ffn_gate.weight", "gate"},
                               {"ffn_up.weight", "up"},
                               {"ffn_down.weight", "down"}};

constexpr Pair kHuggingFaceGlobal[] = {
    {"embed_tokens.weight", "embedding"}, {"lm_head.weight", "head"}, {"norm.weight", "final_norm"}};
constexpr Pair kHuggingFaceLayer[] = {{"input_layernorm.weight", "attention_norm"},
                                      {"self_attn.q_proj.weight", "q"},
                                      {"self_attn.k_proj.weight", "k"},
                                      {"self_attn.v_proj.weight", "v"},
                                      {"self_attn.o_proj.weight", "o"},
                                      {"self_attn.q_proj.bias", "q_bias"},
                                      {"self_attn.k_proj.bias", "k_bias"},
                                      {"self_attn.v_proj.bias", "v_bias"},
                                      {"self_attn.o_proj.bias", "o_bias"},
                                      {"self_attn.q_norm.weight", "q_norm"},
                                      {"self_attn.k_norm.weight", "k_norm"},
                                      {"post_attention_layernorm.weight", "mlp_norm"},
                                      {"mlp.gate_proj.weight", "gate"},
                                      {"mlp.up_proj.weight", "up"},
                                      {"mlp.down_proj.weight", "down"}};

bool consume_prefix(std::string_view& name, std::string_view prefix) {
  if (!name.starts_with(prefix)) return false;
  name.remove_prefix(prefix.size());
  return true;
}

std::optional<std::string_view> look_up(std::span<const Pair> table, std::string_view name) {
  for (const Pair& pair : table) {
    if (pair.file == name) return pair.canonical;
  }
  return std::nullopt;
}

// "12.attn_q.weight" is layer 12; "012..." and "+12..." are not: each tensor has one spelling.
std::optional<CanonicalName> layer_name(std::span<const Pair> table, std::string_view name) {
  const size_t dot = name.find('.');
  if (dot == std::string_view::npos || dot == 0 || dot > 9) return std::nullopt;
  int64_t layer = 0;
  for (char digit : name.substr(0, dot)) {
    if (digit < '0' || digit > '9') return std::nullopt;
    layer = layer * 10 + (digit - '0');
  }
  if (dot > 1 && name[0] == '0') return std::nullopt;
  std::optional<std::string_view> part = look_up(table, name.substr(dot + 1));
  if (!part) return std::nullopt;
  return CanonicalName{message("layers.", layer, ".", *part), std::string(*part), layer};
}

std::optional<CanonicalName> global_name(std::span<const Pair> table, std::string_view name) {
  std::optional<std::string_view> part = look_up(table, name);
  if (!part) return std::nullopt;
  return CanonicalName{std::string(*part), std::string(*part), -1};
}

}  // namespace

std::optional<CanonicalName> canonical_gguf_name(std::string_view name) {
  if (consume_prefix(name, "blk.")) return layer_name(kGgufLayer, name);
  return global_name(kGgufGlobal, name);
}

std::optional<CanonicalName> canonical_huggingface_name(std::string_view name) {
  consume_prefix(name, "model.");  // absent where the bare decoder was saved
  if (consume_prefix(name, "layers.")) return layer_name(kHuggingFaceLayer, name);
  return global_name(kHuggingFaceGlobal, name);
}

bool is_derived_tensor(std::string_view name) {
  // Tables of the rotation, and masks of the past.
  constexpr std::string_view kDerived[] = {"rotary_emb.inv_freq",   "rotary_emb.cos_cached", "rotary_emb.sin_cached",
                                           ".attn_rot_embd.weight", ".attn.masked_bias",     ".attn.bias"};
  const auto ends = [&](std::string_view end) { return name.ends_with(end); };
  return name == "rope.freqs" || std::any_of(std::begin(kDerived), std::end(kDerived), ends);
}

}  // namespace halftone
