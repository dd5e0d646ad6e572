#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "kernels/contract/check.h"
#include "server/source/huggingface_config.h"
#include "tests/support/checkpoint_encode.h"
#include "tests/support/checkpoint_writer.h"

namespace halftone {
namespace {

using json = nlohmann::ordered_json;

json config_json(const TinyCheckpoint& checkpoint) {
  const TinyConfig& c = checkpoint.config;
  auto by_layer = [&](int64_t TinyLayer::*size) {
    const std::vector<int32_t> sizes = c.by_layer(size);
    return c.own_sizes.empty() ? json(sizes[0]) : json(sizes);
  };
  const bool gemma = is_gemma(c);
  std::string type = c.architecture;
  if (type == "gemma3") type = "gemma3_text";
  if (type == "qwen3moe") type = "qwen3_moe";
  json config = {{"model_type", type},
                 {"num_hidden_layers", c.layers},
                 {"hidden_size", c.dim},
                 {"num_attention_heads", by_layer(&TinyLayer::heads)},
                 {"num_key_value_heads", by_layer(&TinyLayer::kv_heads)},
                 {"head_dim", c.head_dim},
                 {"intermediate_size", by_layer(&TinyLayer::ffn)},
                 {"vocab_size", c.vocabulary},
                 {"max_position_embeddings", c.context},
                 {"rms_norm_eps", c.rms_epsilon},
                 {"rope_theta", c.rope_theta},
                 {"tie_word_embeddings", c.tied_head},
                 {gemma ? "hidden_activation" : "hidden_act", gemma ? "gelu_pytorch_tanh" : "silu"},
                 {"bos_token_id", 0},
                 {"eos_token_id", 2}};
  if (checkpoint.attention_bias) config["attention_bias"] = true;
  const RopeScaling& rope = c.rope_scaling;
  if (rope.kind == RopeScaling::Kind::kLinear) config["rope_scaling"] = {{"type", "linear"}, {"factor", rope.factor}};
  if (rope.kind == RopeScaling::Kind::kLlama3) {
    config["rope_scaling"] = {{"rope_type", "llama3"},
                              {"factor", rope.factor},
                              {"low_freq_factor", rope.low_frequency_factor},
                              {"high_freq_factor", rope.high_frequency_factor},
                              {"original_max_position_embeddings", rope.original_context}};
  }
  if (gemma) config["query_pre_attn_scalar"] = c.head_dim;
  if (c.architecture == "gemma2") config["attn_logit_softcapping"] = 5.0, config["final_logit_softcapping"] = 12.0;
  if (c.architecture == "gemma3") {
    config["sliding_window_pattern"] = c.window_pattern;
    config["rope_local_base_freq"] = 10000.0;
  }
  if (c.experts > 0) {
    config["num_experts"] = c.experts;
    config["num_experts_per_tok"] = c.experts_chosen;
    config["moe_intermediate_size"] = c.expert_ffn;
    config["norm_topk_prob"] = true;
  }
  config["sliding_window"] = c.sliding_window > 0 ? json(c.sliding_window) : json(nullptr);
  if (c.architecture != "mistral" && !gemma && c.sliding_window > 0) {
    config["use_sliding_window"] = true;
    config["max_window_layers"] = 0;
  }
  return config;
}

json generation_json(const TinyCheckpoint& checkpoint) {
  json generation = {{"bos_token_id", 0}, {"eos_token_id", 2}};
  const GenerationDefaults& defaults = checkpoint.generation;
  if (defaults.temperature) generation["temperature"] = *defaults.temperature;
  if (defaults.top_p) generation["top_p"] = *defaults.top_p;
  if (defaults.top_k) generation["top_k"] = *defaults.top_k;
  if (defaults.repetition_penalty) generation["repetition_penalty"] = *defaults.repetition_penalty;
  return generation;
}

json tokenizer_json(const TinyCheckpoint& checkpoint) {
  const TinyVocabulary vocabulary = tiny_vocabulary(checkpoint.config.vocabulary);
  json pieces = json::object(), merges = json::array(), added = json::array();
  for (size_t id = 0; id < vocabulary.pieces.size(); ++id) pieces[vocabulary.pieces[id]] = id;
  for (const auto& [left, right] : vocabulary.merges) merges.push_back(left + " " + right);
  for (int id = 0; id < 3; ++id) {
    added.push_back({{"id", id},
                     {"content", vocabulary.pieces[id]},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", true}});
  }
  const json byte_level = {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}};
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", added},
          {"normalizer", nullptr},
          {"pre_tokenizer", byte_level},
          {"post_processor", byte_level},
          {"decoder", byte_level},
          {"model",
           {{"type", "BPE"},
            {"dropout", nullptr},
            {"unk_token", nullptr},
            {"continuing_subword_prefix", ""},
            {"end_of_word_suffix", ""},
            {"fuse_unk", false},
            {"byte_fallback", false},
            {"vocab", pieces},
            {"merges", merges}}}};
}

json tokenizer_config_json(const TinyCheckpoint& checkpoint) {
  json config = {{"tokenizer_class", "GPT2Tokenizer"}, {"add_prefix_space", false},    {"bos_token", "<|endoftext|>"},
                 {"eos_token", "<|im_end|>"},          {"unk_token", "<|endoftext|>"}, {"model_max_length", 512}};
  if (checkpoint.chat) config["chat_template"] = tiny_chat_template();
  return config;
}

std::string safetensors_bytes(const std::vector<const TinyTensor*>& tensors, const std::string& architecture) {
  json header = {{"__metadata__", {{"format", "pt"}}}};
  std::string data;
  for (const TinyTensor* tensor : tensors) {
    std::vector<float> values = tensor->values;
    if (architecture.starts_with("gemma") && tensor->name.ends_with("norm")) {
      for (float& value : values) value -= 1;  // exact: the reader's sum gives the value back
    }
    const std::string bytes = encode_values(tensor->type, values);
    json shape = tensor->vector ? json::array({tensor->cols}) : json::array({tensor->rows, tensor->cols});
    header[huggingface_tensor_name(tensor->name, architecture)] = {
        {"dtype", tensor->type}, {"shape", shape}, {"data_offsets", {data.size(), data.size() + bytes.size()}}};
    data += bytes;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const uint64_t length = text.size();
  return std::string(reinterpret_cast<const char*>(&length), sizeof(length)) + text + data;
}

std::string shard_name(int shard, int shards) {
  if (shards == 1) return "model.safetensors";
  auto five = [](int number) { return std::string(5 - std::to_string(number).size(), '0') + std::to_string(number); };
  return "model-" + five(shard + 1) + "-of-" + five(shards) + ".safetensors";
}

}  // namespace

ModelSpec tiny_spec(const TinyCheckpoint& checkpoint) {
  absl::StatusOr<HuggingFaceConfig> config =
      read_huggingface_config(config_json(checkpoint).dump(), "config.json", "", "");
  HALFTONE_CHECK(config.ok());
  ModelSpec spec = std::move(config->spec);
  spec.name = checkpoint.config.name;
  std::set<std::string> parts;
  for (const TinyTensor& tensor : tiny_tensors(checkpoint))
    parts.insert(tensor.name.substr(tensor.name.rfind('.') + 1));
  auto has = [&](TensorPart part) { return parts.contains(std::string(llama_spelling(part).name)); };
  drop_absent_parts(*config->family, has, spec);
  return spec;
}

TinyConfig tiny_config_of(const ModelSpec& spec) {
  const LayerSpec& layer = spec.layers.front();
  for (const LayerSpec& other : spec.layers) HALFTONE_CHECK(other == layer);
  HALFTONE_CHECK(spec.ropes.size() == 1);
  TinyConfig config;
  config.architecture = spec.family;
  config.name = spec.name;
  config.layers = spec.layer_count();
  config.dim = spec.dim;
  config.heads = layer.heads;
  config.kv_heads = layer.kv_heads;
  config.head_dim = layer.head_dim;
  config.ffn = layer.ffn;
  config.vocabulary = spec.vocabulary;
  config.context = spec.context;
  config.rms_epsilon = spec.rms_epsilon;
  config.rope_theta = spec.ropes.front().theta;
  config.rope_scaling = spec.ropes.front().scaling;
  config.sliding_window = layer.window;
  config.tied_head = spec.tied_head;
  return config;
}

std::string huggingface_tensor_name(const std::string& canonical, const std::string& architecture) {
  constexpr struct {
    const char *part, *name;
  } kNames[] = {{"embedding", "model.embed_tokens.weight"},
                {"head", "lm_head.weight"},
                {"final_norm", "model.norm.weight"},
                {"attention_norm", "input_layernorm.weight"},
                {"q", "self_attn.q_proj.weight"},
                {"k", "self_attn.k_proj.weight"},
                {"v", "self_attn.v_proj.weight"},
                {"o", "self_attn.o_proj.weight"},
                {"q_bias", "self_attn.q_proj.bias"},
                {"k_bias", "self_attn.k_proj.bias"},
                {"v_bias", "self_attn.v_proj.bias"},
                {"o_bias", "self_attn.o_proj.bias"},
                {"q_norm", "self_attn.q_norm.weight"},
                {"k_norm", "self_attn.k_norm.weight"},
                {"attention_post_norm", "post_attention_layernorm.weight"},
                {"mlp_norm", "post_attention_layernorm.weight"},
                {"mlp_post_norm", "post_feedforward_layernorm.weight"},
                {"router", "mlp.gate.weight"},
                {"gate", "mlp.gate_proj.weight"},
                {"up", "mlp.up_proj.weight"},
                {"down", "mlp.down_proj.weight"}};
  if (const size_t experts = canonical.find(".experts."); experts != std::string::npos) {
    const size_t last = canonical.rfind('.');
    return "model." + canonical.substr(0, experts) + ".mlp" + canonical.substr(experts, last - experts) + "." +
           canonical.substr(last + 1) + "_proj.weight";
  }
  if (architecture.starts_with("gemma") && canonical.ends_with(".mlp_norm")) {
    return "model." + canonical.substr(0, canonical.rfind('.')) + ".pre_feedforward_layernorm.weight";
  }
  const size_t dot = canonical.rfind('.');
  const std::string part = dot == std::string::npos ? canonical : canonical.substr(dot + 1);
  for (const auto& pair : kNames) {
    if (part == pair.part)
      return dot == std::string::npos ? pair.name : "model." + canonical.substr(0, dot + 1) + pair.name;
  }
  return canonical;
}

void write_tiny_huggingface(const std::string& directory, const TinyCheckpoint& checkpoint, int shards) {
  std::filesystem::create_directories(directory);
  const std::string at = directory + "/";
  write_test_file(at + "config.json", config_json(checkpoint).dump(1));
  write_test_file(at + "generation_config.json", generation_json(checkpoint).dump(1));
  write_test_file(at + "tokenizer.json", tokenizer_json(checkpoint).dump(1));
  write_test_file(at + "tokenizer_config.json", tokenizer_config_json(checkpoint).dump(1));
  const std::vector<TinyTensor> tensors = tiny_tensors(checkpoint);
  json weight_map = json::object();
  for (int shard = 0; shard < shards; ++shard) {
    std::vector<const TinyTensor*> part;
    for (size_t i = 0; i < tensors.size(); ++i) {
      if (static_cast<int>(i * static_cast<size_t>(shards) / tensors.size()) != shard) continue;
      part.push_back(&tensors[i]);
      weight_map[huggingface_tensor_name(tensors[i].name, checkpoint.config.architecture)] = shard_name(shard, shards);
    }
    write_test_file(at + shard_name(shard, shards), safetensors_bytes(part, checkpoint.config.architecture));
  }
  if (shards == 1) return;
  const json index = {{"metadata", json::object()}, {"weight_map", weight_map}};
  write_test_file(at + "model.safetensors.index.json", index.dump(1));
}

TestDirectory::TestDirectory() {
  std::string name = (std::filesystem::temp_directory_path() / "halftone_test_XXXXXX").string();
  HALFTONE_CHECK(mkdtemp(name.data()) != nullptr);
  path_ = name;
}

TestDirectory::~TestDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace halftone
