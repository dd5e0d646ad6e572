#include <cmath>
#include <map>
#include <numbers>

#include "tests/support/checkpoint_encode.h"
#include "tests/support/checkpoint_writer.h"

namespace halftone {
namespace {

bool is_rotated(const std::string& name) {
  for (const char* part : {".q", ".k", ".q_bias", ".k_bias"}) {
    if (name.ends_with(part)) return true;
  }
  return false;
}

// Rotate-half order (first halves of the pairs, then second halves) to pairs side by side, within each head.
std::vector<float> interleaved(const TinyTensor& tensor, int64_t head) {
  const int64_t items = tensor.vector ? tensor.cols : tensor.rows, length = tensor.vector ? 1 : tensor.cols;
  std::vector<float> out(tensor.values.size());
  for (int64_t to = 0; to < items; ++to) {
    const int64_t in_head = to % head;
    const int64_t from = to - in_head + in_head / 2 + (in_head % 2) * (head / 2);
    for (int64_t i = 0; i < length; ++i) out[to * length + i] = tensor.values[from * length + i];
  }
  return out;
}

std::vector<float> llama3_factors(const TinyConfig& config) {
  const RopeScaling& rope = config.rope_scaling;
  const double context = static_cast<double>(rope.original_context);
  std::vector<float> factors;
  for (int64_t i = 0; i < config.head_dim; i += 2) {
    const double exponent = static_cast<double>(i) / static_cast<double>(config.head_dim);
    const double wavelength = 2 * std::numbers::pi * std::pow(static_cast<double>(config.rope_theta), exponent);
    double factor = 1;
    if (wavelength > context / rope.low_frequency_factor) {
      factor = rope.factor;
    } else if (wavelength >= context / rope.high_frequency_factor) {
      const double smooth =
          (context / wavelength - rope.low_frequency_factor) / (rope.high_frequency_factor - rope.low_frequency_factor);
      factor = 1 / ((1 - smooth) / rope.factor + smooth);
    }
    factors.push_back(static_cast<float>(factor));
  }
  return factors;
}

void add_vocabulary(const TinyCheckpoint& checkpoint, GgufBytes& gguf) {
  const TinyVocabulary vocabulary = tiny_vocabulary(checkpoint.config.vocabulary);
  std::vector<int32_t> types(vocabulary.pieces.size(), 1);
  for (int id = 0; id < 3; ++id) types[id] = 3;                                                   // control
  for (size_t id = static_cast<size_t>(vocabulary.used); id < types.size(); ++id) types[id] = 5;  // unused
  std::vector<std::string> merges;
  for (const auto& [left, right] : vocabulary.merges) merges.push_back(left + " " + right);
  gguf.key_text("tokenizer.ggml.model", "gpt2");
  gguf.key_text("tokenizer.ggml.pre", "gpt-2");
  gguf.key_texts("tokenizer.ggml.tokens", vocabulary.pieces);
  gguf.key_i32s("tokenizer.ggml.token_type", types);
  gguf.key_texts("tokenizer.ggml.merges", merges);
  gguf.key_u32("tokenizer.ggml.bos_token_id", 0);
  gguf.key_u32("tokenizer.ggml.eos_token_id", 2);
  gguf.key_u32("tokenizer.ggml.unknown_token_id", 0);
  gguf.key_bool("tokenizer.ggml.add_bos_token", false);
  if (checkpoint.chat) gguf.key_text("tokenizer.chat_template", tiny_chat_template());
}

std::string gguf_architecture(const TinyCheckpoint& checkpoint) {
  return checkpoint.config.architecture == "mistral" ? "llama" : checkpoint.config.architecture;
}

void add_config(const TinyCheckpoint& checkpoint, const std::string& architecture, GgufBytes& gguf) {
  const TinyConfig& c = checkpoint.config;
  const std::string at = architecture + ".";
  gguf.key_text("general.architecture", architecture);
  gguf.key_text("general.name", c.name);
  gguf.key_u32(at + "block_count", static_cast<uint32_t>(c.layers));
  gguf.key_u32(at + "context_length", static_cast<uint32_t>(c.context));
  gguf.key_u32(at + "embedding_length", static_cast<uint32_t>(c.dim));
  auto by_layer = [&](const char* key, int64_t TinyLayer::*size) {
    const std::vector<int32_t> sizes = c.by_layer(size);
    c.own_sizes.empty() ? gguf.key_u32(at + key, static_cast<uint32_t>(sizes[0])) : gguf.key_i32s(at + key, sizes);
  };
  by_layer("feed_forward_length", &TinyLayer::ffn);
  by_layer("attention.head_count", &TinyLayer::heads);
  by_layer("attention.head_count_kv", &TinyLayer::kv_heads);
  gguf.key_u32(at + "attention.key_length", static_cast<uint32_t>(c.head_dim));
  gguf.key_u32(at + "attention.value_length", static_cast<uint32_t>(c.head_dim));
  gguf.key_u32(at + "rope.dimension_count", static_cast<uint32_t>(c.head_dim));
  gguf.key_f32(at + "attention.layer_norm_rms_epsilon", c.rms_epsilon);
  gguf.key_f32(at + "rope.freq_base", c.rope_theta);
  if (c.architecture == "gemma2") {
    gguf.key_f32(at + "attn_logit_softcapping", 5);
    gguf.key_f32(at + "final_logit_softcapping", 12);
  }
  if (c.window_pattern > 0) {
    gguf.key_u32(at + "attention.sliding_window_pattern", static_cast<uint32_t>(c.window_pattern));
  }
  if (c.experts > 0) {
    gguf.key_u32(at + "expert_count", static_cast<uint32_t>(c.experts));
    gguf.key_u32(at + "expert_used_count", static_cast<uint32_t>(c.experts_chosen));
    gguf.key_u32(at + "expert_feed_forward_length", static_cast<uint32_t>(c.expert_ffn));
  }
  if (c.sliding_window > 0) gguf.key_u32(at + "attention.sliding_window", static_cast<uint32_t>(c.sliding_window));
  if (c.rope_scaling.kind == RopeScaling::Kind::kLinear) {
    gguf.key_text(at + "rope.scaling.type", "linear");
    gguf.key_f32(at + "rope.scaling.factor", c.rope_scaling.factor);
  }
  const GenerationDefaults& generation = checkpoint.generation;
  if (generation.temperature) gguf.key_f32("general.sampling.temp", *generation.temperature);
  if (generation.top_p) gguf.key_f32("general.sampling.top_p", *generation.top_p);
  if (generation.top_k) gguf.key_u32("general.sampling.top_k", static_cast<uint32_t>(*generation.top_k));
  if (generation.repetition_penalty) gguf.key_f32("general.sampling.penalty_repeat", *generation.repetition_penalty);
}

}  // namespace

std::string gguf_tensor_name(const std::string& canonical) {
  constexpr struct {
    const char *part, *name;
  } kNames[] = {{"embedding", "token_embd.weight"},
                {"head", "output.weight"},
                {"final_norm", "output_norm.weight"},
                {"attention_norm", "attn_norm.weight"},
                {"q", "attn_q.weight"},
                {"k", "attn_k.weight"},
                {"v", "attn_v.weight"},
                {"o", "attn_output.weight"},
                {"q_bias", "attn_q.bias"},
                {"k_bias", "attn_k.bias"},
                {"v_bias", "attn_v.bias"},
                {"o_bias", "attn_output.bias"},
                {"q_norm", "attn_q_norm.weight"},
                {"k_norm", "attn_k_norm.weight"},
                {"attention_post_norm", "post_attention_norm.weight"},
                {"mlp_norm", "ffn_norm.weight"},
                {"mlp_post_norm", "post_ffw_norm.weight"},
                {"router", "ffn_gate_inp.weight"},
                {"gate", "ffn_gate.weight"},
                {"up", "ffn_up.weight"},
                {"down", "ffn_down.weight"}};
  // layers.N.experts.E.gate: a tensor for all experts.
  if (const size_t experts = canonical.find(".experts."); experts != std::string::npos) {
    const std::string part = canonical.substr(canonical.rfind('.') + 1);
    return "blk." + canonical.substr(7, experts - 7) + ".ffn_" + part + "_exps.weight";
  }
  const size_t dot = canonical.rfind('.');
  const std::string part = dot == std::string::npos ? canonical : canonical.substr(dot + 1);
  for (const auto& pair : kNames) {
    if (part != pair.part) continue;
    return dot == std::string::npos ? pair.name : "blk." + canonical.substr(7, dot - 7) + "." + pair.name;
  }
  return canonical;
}

GgufBytes tiny_gguf_keys(const TinyCheckpoint& checkpoint) {
  GgufBytes gguf;
  add_config(checkpoint, gguf_architecture(checkpoint), gguf);
  add_vocabulary(checkpoint, gguf);
  return gguf;
}

void add_tiny_tensor(const TinyCheckpoint& checkpoint, const TinyTensor& tensor, GgufBytes& gguf) {
  const bool permute = gguf_architecture(checkpoint) == "llama" && is_rotated(tensor.name);
  const std::vector<float> values = permute ? interleaved(tensor, checkpoint.config.head_dim) : tensor.values;
  std::vector<uint64_t> shape = {static_cast<uint64_t>(tensor.cols)};
  if (!tensor.vector) shape.push_back(static_cast<uint64_t>(tensor.rows));
  gguf.tensor(gguf_tensor_name(tensor.name), shape, gguf_type_number(tensor.type), encode_values(tensor.type, values));
}

void add_tiny_tensors(const TinyCheckpoint& checkpoint, const std::vector<TinyTensor>& tensors, GgufBytes& gguf) {
  std::map<std::string, TinyTensor> stacked;  // by the name in the file: an expert's rows below the last one's
  for (const TinyTensor& tensor : tensors) {
    if (tensor.name.find(".experts.") == std::string::npos) {
      add_tiny_tensor(checkpoint, tensor, gguf);
      continue;
    }
    TinyTensor& all = stacked.try_emplace(gguf_tensor_name(tensor.name), TinyTensor{}).first->second;
    all.type = tensor.type, all.rows = tensor.rows, all.cols = tensor.cols;
    all.values.insert(all.values.end(), tensor.values.begin(), tensor.values.end());
  }
  for (const auto& [name, all] : stacked) {
    const auto size = [](int64_t n) { return static_cast<uint64_t>(n); };
    gguf.tensor(name, {size(all.cols), size(all.rows), size(checkpoint.config.experts)}, gguf_type_number(all.type),
                encode_values(all.type, all.values));
  }
}

GgufBytes tiny_gguf(const TinyCheckpoint& checkpoint) {
  const TinyConfig& config = checkpoint.config;
  GgufBytes gguf = tiny_gguf_keys(checkpoint);
  add_tiny_tensors(checkpoint, tiny_tensors(checkpoint), gguf);
  if (config.rope_scaling.kind == RopeScaling::Kind::kLlama3) {
    gguf.tensor("rope_freqs.weight", {static_cast<uint64_t>(config.head_dim / 2)}, 0,
                encode_values("F32", llama3_factors(config)));
  }
  return gguf;
}

void write_tiny_gguf(const std::string& path, const TinyCheckpoint& checkpoint) {
  write_test_file(path, tiny_gguf(checkpoint).bytes());
}

}  // namespace halftone
