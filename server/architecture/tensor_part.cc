#include "server/architecture/tensor_part.h"

#include <iterator>

#include "kernels/contract/check.h"

namespace halftone {
namespace {

constexpr TensorSpelling kSpellings[] = {
    {TensorPart::kEmbedding, "embedding", "embed_tokens.weight", "token_embd.weight"},
    {TensorPart::kHead, "head", "lm_head.weight", "output.weight"},
    {TensorPart::kFinalNorm, "final_norm", "norm.weight", "output_norm.weight"},
    {TensorPart::kRopeFactors, "rope_factors", "", "rope_freqs.weight"},
    {TensorPart::kAttentionNorm, "attention_norm", "input_layernorm.weight", "attn_norm.weight"},
    {TensorPart::kQ, "q", "self_attn.q_proj.weight", "attn_q.weight"},
    {TensorPart::kK, "k", "self_attn.k_proj.weight", "attn_k.weight"},
    {TensorPart::kV, "v", "self_attn.v_proj.weight", "attn_v.weight"},
    {TensorPart::kO, "o", "self_attn.o_proj.weight", "attn_output.weight"},
    {TensorPart::kQBias, "q_bias", "self_attn.q_proj.bias", "attn_q.bias"},
    {TensorPart::kKBias, "k_bias", "self_attn.k_proj.bias", "attn_k.bias"},
    {TensorPart::kVBias, "v_bias", "self_attn.v_proj.bias", "attn_v.bias"},
    {TensorPart::kOBias, "o_bias", "self_attn.o_proj.bias", "attn_output.bias"},
    {TensorPart::kQNorm, "q_norm", "self_attn.q_norm.weight", "attn_q_norm.weight"},
    {TensorPart::kKNorm, "k_norm", "self_attn.k_norm.weight", "attn_k_norm.weight"},
    {TensorPart::kAttentionPostNorm, "attention_post_norm", "post_attention_layernorm.weight",
     "post_attention_norm.weight"},
    {TensorPart::kMlpNorm, "mlp_norm", "post_attention_layernorm.weight", "ffn_norm.weight"},
    {TensorPart::kGate, "gate", "mlp.gate_proj.weight", "ffn_gate.weight"},
    {TensorPart::kUp, "up", "mlp.up_proj.weight", "ffn_up.weight"},
    {TensorPart::kDown, "down", "mlp.down_proj.weight", "ffn_down.weight"},
    {TensorPart::kMlpPostNorm, "mlp_post_norm", "post_feedforward_layernorm.weight", "post_ffw_norm.weight"},
    {TensorPart::kRouter, "router", "mlp.gate.weight", "ffn_gate_inp.weight"},
    {TensorPart::kExpertGate, "experts.*.gate", "mlp.experts.*.gate_proj.weight", "ffn_gate_exps.weight"},
    {TensorPart::kExpertUp, "experts.*.up", "mlp.experts.*.up_proj.weight", "ffn_up_exps.weight"},
    {TensorPart::kExpertDown, "experts.*.down", "mlp.experts.*.down_proj.weight", "ffn_down_exps.weight"},
};
static_assert(std::size(kSpellings) == kTensorParts);

}  // namespace

const TensorSpelling& llama_spelling(TensorPart part) {
  const TensorSpelling& spelling = kSpellings[static_cast<size_t>(part)];
  HALFTONE_CHECK(spelling.part == part);
  return spelling;
}

}  // namespace halftone
