#include "server/source/huggingface_config.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "server/source/generation_defaults.h"
#include "server/source/json_fields.h"
#include "server/source/message.h"

namespace halftone {
namespace {

using nlohmann::json;

class JsonHyperparameters final : public Hyperparameters {
 public:
  // `object` and `file` must outlive this.
  JsonHyperparameters(const json& object, const std::string& file, const std::string& within = "")
      : file_(file), within_(within), fields_(object, file, within) {}

  bool has(const char* key) const override { return fields_.has(key); }
  bool named(const char* key) const override { return fields_.named(key); }
  int64_t integer(const char* key, std::optional<int64_t> fallback) override {
    return told(fields_.integer(key, fallback));
  }
  double number(const char* key, std::optional<double> fallback) override {
    return told(fields_.number(key, fallback));
  }
  bool flag(const char* key, bool fallback) override { return told(fields_.flag(key, fallback)); }
  std::string text(const char* key, std::optional<std::string> fallback) override {
    return shown(told(fields_.text(key, std::move(fallback))));
  }
  std::optional<std::vector<int64_t>> integers(const char* key) const override {
    return list<int64_t>(key, [](const json& item) { return json_integer(item); });
  }
  std::optional<std::vector<std::string>> texts(const char* key) const override {
    return list<std::string>(
        key, [](const json& item) { return item.is_string() ? std::optional(item.get<std::string>()) : std::nullopt; });
  }
  std::unique_ptr<Hyperparameters> object(const char* key) override {
    const json* value = fields_.find(key);
    if (value == nullptr) return nullptr;
    if (value->is_object()) return std::make_unique<JsonHyperparameters>(*value, file_, message(within_, key, "."));
    complain(absl::InvalidArgumentError(fields_.name(key) + ": expected an object"));
    return nullptr;
  }
  const std::string& file() const override { return file_; }
  std::string name(const char* key) const override { return fields_.name(key); }

 private:
  template <typename Value>
  Value told(Value value) {
    complain(fields_.status());
    return value;
  }
  // Nothing where an item is of another type.
  template <typename Value, typename Read>
  std::optional<std::vector<Value>> list(const char* key, Read read) const {
    const json* value = fields_.find(key);
    if (value == nullptr || !value->is_array()) return std::nullopt;
    std::vector<Value> items;
    for (const json& item : *value) {
      std::optional<Value> one = read(item);
      if (!one) return std::nullopt;
      items.push_back(*std::move(one));
    }
    return items;
  }

  const std::string& file_;
  const std::string within_;
  JsonFields fields_;
};

// "model_type", or the first of "architectures": the name of a class.
std::string type_of(JsonFields& fields) {
  const json* classes = fields.find("architectures");
  const bool named = classes && classes->is_array() && !classes->empty() && (*classes)[0].is_string();
  return fields.has("model_type") || !named ? fields.text("model_type") : (*classes)[0].get<std::string>();
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
  const std::string type = type_of(fields);
  if (!fields.status().ok()) return fields.status();
  HuggingFaceConfig config;
  config.family = find_huggingface_family(type);
  if (config.family == nullptr) return unknown_family(config_path, shown(type));
  JsonHyperparameters keys(*object, config_path);
  absl::StatusOr<ModelSpec> spec = read_huggingface_spec(*config.family, keys);
  if (!spec.ok()) return spec.status();
  config.spec = *std::move(spec);
  if (fields.has("attention_bias") && config.family->says_attention_bias) {
    config.attention_bias = fields.flag("attention_bias", false);
  }
  config.bos = read_id(fields, "bos_token_id");
  if (!generation_config.empty()) {
    absl::Status status = read_generation(generation_config, generation_path, config);
    if (!status.ok()) return status;
  }
  if (config.eos.empty()) read_ids(fields, "eos_token_id", config.eos);
  if (!fields.status().ok()) return fields.status();
  return config;
}

}  // namespace halftone
