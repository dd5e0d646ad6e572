#include "server/source/huggingface_config.h"

#include <algorithm>
#include <utility>

#include "absl/strings/strip.h"
#include "server/source/checkpoint.h"
#include "server/source/generation_defaults.h"
#include "server/source/json_fields.h"
#include "server/source/message.h"

namespace halftone {
namespace {

using nlohmann::json;

// "model_type", or what "architectures" begins with: "LlamaForCausalLM" is llama.
std::string architecture_of(JsonFields& fields) {
  if (fields.has("model_type")) return fields.text("model_type");
  const json* classes = fields.find("architectures");
  if (classes && classes->is_array() && !classes->empty() && (*classes)[0].is_string()) {
    std::string name = (*classes)[0].get<std::string>();
    for (auto [type, known] : {std::pair("LlamaForCausalLM", "llama"), std::pair("MistralForCausalLM", "mistral"),
                               std::pair("Qwen2ForCausalLM", "qwen2"), std::pair("Qwen3ForCausalLM", "qwen3")}) {
      if (name == type) return known;
    }
    return name;
  }
  return fields.text("model_type");
}

absl::Status not_here(const JsonFields& fields, const char* key, std::string_view what) {
  return absl::UnimplementedError(message(fields.name(key), ": ", what));
}

// Newer files have one object, rope_parameters; older ones rope_theta and, where there is scaling, rope_scaling.
void read_rope(JsonFields& fields, const std::string& file, ModelConfig& config) {
  const char* key = fields.has("rope_parameters") ? "rope_parameters" : "rope_scaling";
  config.rope_theta = static_cast<float>(fields.number("rope_theta", 10000.0));
  const json* object = fields.find(key);
  if (!object) return;
  if (!object->is_object())
    return fields.complain(absl::InvalidArgumentError(fields.name(key) + ": expected an object"));
  JsonFields rope(*object, file, message(key, "."));
  config.rope_theta = static_cast<float>(rope.number("rope_theta", config.rope_theta));
  const std::string type = rope.has("rope_type") ? rope.text("rope_type") : rope.text("type", "default");
  if (type == "linear" || type == "llama3") config.rope_scaling.factor = static_cast<float>(rope.number("factor"));
  if (type == "linear") {
    config.rope_scaling.kind = RopeScaling::Kind::kLinear;
  } else if (type == "llama3") {
    config.rope_scaling.kind = RopeScaling::Kind::kLlama3;
    config.rope_scaling.low_frequency_factor = static_cast<float>(rope.number("low_freq_factor"));
    config.rope_scaling.high_frequency_factor = static_cast<float>(rope.number("high_freq_factor"));
    config.rope_scaling.original_context = rope.has("original_max_position_embeddings")
                                               ? rope.integer("original_max_position_embeddings")
                                               : fields.integer("original_max_position_embeddings");
  } else if (type != "default") {
    fields.complain(
        not_here(fields, key, message("RoPE of type \"", shown(type), "\", expected default, linear or llama3")));
  }
  if (rope.number("partial_rotary_factor", 1.0) != 1.0) {
    fields.complain(not_here(fields, key, "only a part of each head is rotated, expected all of it"));
  }
  fields.complain(rope.status());
}

// Qwen's window may begin at some layer. All layers look through it, or none, or it is nothing that we run.
void read_qwen_window(JsonFields& fields, ModelConfig& config) {
  if (!fields.flag("use_sliding_window", false) || !fields.has("sliding_window")) return;
  int64_t without =
      std::clamp<int64_t>(fields.integer("max_window_layers", 28), 0, std::max<int64_t>(0, config.layers));
  if (const json* types = fields.find("layer_types"); types && types->is_array()) {
    without = std::count(types->begin(), types->end(), json("full_attention"));
  }
  if (without == 0) {
    config.sliding_window = fields.integer("sliding_window");
  } else if (without != config.layers) {
    fields.complain(
        not_here(fields, "sliding_window",
                 message(without, " of ", config.layers, " layers have no window, expected all of them or none")));
  }
}

void read_window(JsonFields& fields, ModelConfig& config) {
  if (config.architecture == "qwen2" || config.architecture == "qwen3") return read_qwen_window(fields, config);
  if (config.architecture != "mistral") return;
  // Mistral's default where the file does not name it at all; null means none.
  config.sliding_window = fields.integer("sliding_window", fields.named("sliding_window") ? 0 : 4096);
}

void read_known(JsonFields& fields, const std::string& file, ModelConfig& config) {
  const bool qwen3 = config.architecture == "qwen3";
  config.kv_heads = fields.integer("num_key_value_heads", config.heads);
  const bool divides = config.heads > 0 && config.dim % config.heads == 0;
  if (fields.has("head_dim") || qwen3) {
    config.head_dim = fields.integer("head_dim", 128);
  } else if (divides) {
    config.head_dim = config.dim / config.heads;
  } else {
    fields.complain(absl::InvalidArgumentError(message(fields.name("hidden_size"), " = ", config.dim,
                                                       ", expected a multiple of the ", config.heads, " heads")));
  }
  config.rms_epsilon = static_cast<float>(fields.number("rms_norm_eps", 1e-6));
  config.tied_head = fields.flag("tie_word_embeddings", false);
  read_rope(fields, file, config);
  read_window(fields, config);
  const std::string activation = fields.text("hidden_act", "silu");
  if (activation != "silu") {
    fields.complain(not_here(fields, "hidden_act", message("\"", shown(activation), "\", expected silu")));
  }
  if (fields.flag("mlp_bias", false)) {
    fields.complain(not_here(fields, "mlp_bias", "biases in the feed-forward layers, expected none"));
  }
  if (fields.has("quantization_config")) {
    fields.complain(not_here(fields, "quantization_config", "quantized tensors, expected F32, F16 or BF16"));
  }
  if (fields.number("partial_rotary_factor", 1.0) != 1.0) {
    fields.complain(
        not_here(fields, "partial_rotary_factor", "only a part of each head is rotated, expected all of it"));
  }
}

// One id or a list of them; null and -1 mean none.
void read_ids(JsonFields& fields, const char* key, std::vector<TokenId>& ids) {
  const json* value = fields.find(key);
  if (!value) return;
  const json list = value->is_array() ? *value : json::array({*value});
  for (const json& one : list) {
    std::optional<int64_t> id = json_integer(one);
    if (!id || *id < -1 || *id > INT32_MAX) {
      return fields.complain(absl::InvalidArgumentError(fields.name(key) + ": expected token ids"));
    }
    const TokenId token = static_cast<TokenId>(*id);
    if (token >= 0 && std::find(ids.begin(), ids.end(), token) == ids.end()) ids.push_back(token);
  }
}

std::optional<TokenId> read_id(JsonFields& fields, const char* key) {
  std::vector<TokenId> ids;
  read_ids(fields, key, ids);
  return ids.empty() ? std::nullopt : std::optional<TokenId>(ids.front());
}

absl::Status read_generation(std::string_view text, const std::string& path, HuggingFaceConfig& config) {
  absl::StatusOr<json> object = parse_json_object(text, path, RepeatedKey::kLastCounts);
  if (!object.ok()) return object.status();
  JsonFields fields(*object, path);
  read_ids(fields, "eos_token_id", config.eos);
  if (std::optional<TokenId> bos = read_id(fields, "bos_token_id")) config.bos = bos;
  config.generation = huggingface_generation(*object, path, config.warnings);
  return fields.status();
}

}  // namespace

absl::StatusOr<HuggingFaceConfig> read_huggingface_config(std::string_view text, const std::string& config_path,
                                                          std::string_view generation_config,
                                                          const std::string& generation_path) {
  absl::StatusOr<json> object = parse_json_object(text, config_path, RepeatedKey::kLastCounts);
  if (!object.ok()) return object.status();
  JsonFields fields(*object, config_path);
  HuggingFaceConfig config;
  ModelConfig& model = config.model;
  model.architecture = clean_text(architecture_of(fields));
  if (!fields.status().ok()) return fields.status();
  if (!knows_tensors_of(model.architecture)) return config;

  model.layers = fields.integer("num_hidden_layers");
  model.dim = fields.integer("hidden_size");
  model.heads = fields.integer("num_attention_heads");
  model.ffn = fields.integer("intermediate_size");
  model.vocabulary = fields.integer("vocab_size");
  model.context = fields.integer("max_position_embeddings", model.architecture == "llama" ? 2048 : 32768);
  read_known(fields, config_path, model);
  // Mistral and Qwen 2 do not look at it: one has no biases, the other always has them.
  if (fields.has("attention_bias") && (model.architecture == "llama" || model.architecture == "qwen3")) {
    config.attention_bias = fields.flag("attention_bias", false);
  }
  config.bos = read_id(fields, "bos_token_id");
  if (!generation_config.empty()) {
    absl::Status status = read_generation(generation_config, generation_path, config);
    if (!status.ok()) return status;
  }
  if (config.eos.empty()) read_ids(fields, "eos_token_id", config.eos);
  if (!fields.status().ok()) return fields.status();
  if (absl::Status status = check_config(model, config_path); !status.ok()) return status;
  return config;
}

}  // namespace halftone
