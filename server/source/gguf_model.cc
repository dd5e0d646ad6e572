#include "server/source/gguf_model.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "server/source/checkpoint.h"
#include "server/source/generation_defaults.h"
#include "server/source/gguf_parts.h"
#include "server/source/gguf_vocabulary.h"
#include "server/source/message.h"
#include "server/source/model_name.h"
#include "server/source/vocabulary_fit.h"
#include "server/text/chat_template.h"

namespace halftone {
namespace {

// The keys "<architecture>.*": the first that is missing or of another type is remembered.
class Keys {
 public:
  Keys(const GgufMetadata& metadata, std::string prefix, const std::string& file)
      : metadata_(metadata), prefix_(std::move(prefix)), file_(file) {}

  int64_t integer(std::string_view key, std::optional<int64_t> fallback = {}) {
    const std::string name = message(prefix_, ".", key);
    if (!metadata_.has(name) && fallback) return *fallback;
    std::optional<int64_t> value = metadata_.integer(name);
    if (!value) complain(name, "an integer");
    return value.value_or(0);
  }

  float number(std::string_view key, std::optional<float> fallback = {}) {
    const std::string name = message(prefix_, ".", key);
    if (!metadata_.has(name) && fallback) return *fallback;
    std::optional<double> value = metadata_.number(name);
    if (!value) complain(name, "a number");
    return static_cast<float>(value.value_or(0));
  }

  std::string text(std::string_view key, std::string fallback) {
    const std::string name = message(prefix_, ".", key);
    if (!metadata_.has(name)) return fallback;
    std::optional<std::string> value = metadata_.text(name);
    if (!value) complain(name, "a text");
    return value.value_or("");
  }

  bool has(std::string_view key) const { return metadata_.has(message(prefix_, ".", key)); }
  const absl::Status& status() const { return status_; }

 private:
  void complain(std::string_view key, std::string_view expected) {
    const char* what = metadata_.has(key) ? " has another type, expected " : " is missing, expected ";
    status_.Update(absl::InvalidArgumentError(message(file_, ": ", shown(key), what, expected)));
  }

  const GgufMetadata& metadata_;
  std::string prefix_;
  const std::string& file_;
  absl::Status status_;
};

const GgufTensor* find_tensor(const GgufFile& gguf, std::string_view name) {
  for (const GgufTensor& tensor : gguf.tensors) {
    if (tensor.name == name) return &tensor;
  }
  return nullptr;
}

absl::Status read_rope(Keys& keys, ModelConfig& config, const std::string& file) {
  config.rope_theta = keys.number("rope.freq_base", 10000.0f);
  const std::string type = keys.text("rope.scaling.type", keys.has("rope.scale_linear") ? "linear" : "none");
  if (type == "linear") {
    config.rope_scaling.kind = RopeScaling::Kind::kLinear;
    config.rope_scaling.factor =
        keys.has("rope.scale_linear") ? keys.number("rope.scale_linear") : keys.number("rope.scaling.factor");
  } else if (type != "none") {
    return absl::UnimplementedError(message(file, ": rope scaling \"", shown(type),
                                            "\", expected one of none, linear, or a tensor rope_freqs.weight"));
  }
  const int64_t rotated = keys.integer("rope.dimension_count", config.head_dim);
  if (rotated != config.head_dim) {
    return absl::UnimplementedError(
        message(file, ": ", rotated, " of the ", config.head_dim, " dimensions of a head are rotated, expected all"));
  }
  return absl::OkStatus();
}

absl::Status read_known_config(Keys& keys, ModelConfig& config, const std::string& file) {
  config.rms_epsilon = keys.number("attention.layer_norm_rms_epsilon");
  config.kv_heads = keys.integer("attention.head_count_kv", config.heads);
  config.sliding_window = keys.integer("attention.sliding_window", 0);
  if (!keys.status().ok()) return keys.status();
  if (!keys.has("attention.key_length") && (config.heads <= 0 || config.dim % config.heads != 0)) {
    return absl::InvalidArgumentError(
        message(file, ": embedding length ", config.dim, ", expected a multiple of the ", config.heads, " heads"));
  }
  config.head_dim = keys.integer("attention.key_length", config.heads > 0 ? config.dim / config.heads : 0);
  const int64_t value_length = keys.integer("attention.value_length", config.head_dim);
  if (value_length != config.head_dim) {
    return absl::UnimplementedError(
        message(file, ": values of ", value_length, " in a head, keys of ", config.head_dim, ", expected the same"));
  }
  if (absl::Status status = read_rope(keys, config, file); !status.ok()) return status;
  return keys.status();
}

// Factors that are no positive numbers would make the rotation meaningless.
absl::Status check_rope_factors(const ModelSource& source, const std::string& file) {
  const SourceTensor* factors = source.find("rope_factors");
  if (!factors) return absl::OkStatus();
  if (source.config.rope_scaling.kind != RopeScaling::Kind::kNone) {
    return absl::UnimplementedError(
        message(file, ": rope scaling in the metadata and the tensor rope_freqs.weight, expected one of them"));
  }
  std::vector<float> values(static_cast<size_t>(factors->cols()));
  if (absl::Status status = factors->read_rows(0, 1, values); !status.ok()) return status;
  for (float value : values) {
    if (!(value >= 1e-6f && value <= 1e6f)) {
      return absl::InvalidArgumentError(
          message(file, ": tensor rope_freqs.weight holds ", value, ", expected 1e-6 to 1e6"));
    }
  }
  return absl::OkStatus();
}

absl::Status add_tensors(const GgufFile& gguf, ModelSource& source, Checkpoint& checkpoint) {
  const bool interleaved = source.config.architecture == "llama";
  for (const GgufTensor& tensor : gguf.tensors) {
    std::optional<CanonicalName> name = canonical_gguf_name(tensor.name);
    if (name && !tensor.format) {
      return absl::UnimplementedError(message(tensor.file, ": tensor ", shown(tensor.name), " is ",
                                              gguf_type_name(tensor.type), ", expected one of ",
                                              known_tensor_formats()));
    }
    TensorPlace place{tensor.file, tensor.name,       tensor.format, tensor.rows,
                      tensor.cols, tensor.dimensions, tensor.bytes,  0};
    const bool rotates =
        name && (name->part == "q" || name->part == "k" || name->part == "q_bias" || name->part == "k_bias");
    if (interleaved && rotates) place.interleaved_head = source.config.head_dim;
    if (absl::Status status = checkpoint.add_tensor(name, std::move(place)); !status.ok()) return status;
  }
  // A head that repeats the embedding byte for byte is the embedding: it is not stored twice.
  const TensorPlace *embedding = checkpoint.find("embedding"), *head = checkpoint.find("head");
  source.config.tied_head =
      !head || (embedding && head->format == embedding->format && std::ranges::equal(head->bytes, embedding->bytes));
  if (head && source.config.tied_head) checkpoint.remove("head");
  return absl::OkStatus();
}

// What is wrong with the tensors of a family that we do not run is of no interest: that we do not run it is.
std::optional<ModelSource> of_unknown_family(const std::string& path) {
  absl::StatusOr<std::unique_ptr<MappedFile>> file = MappedFile::open(path);
  if (!file.ok()) return std::nullopt;
  absl::StatusOr<GgufMetadata> metadata = parse_gguf_metadata((*file)->bytes(), path);
  if (!metadata.ok()) return std::nullopt;
  const std::string architecture = clean_text(metadata->text("general.architecture").value_or(""));
  if (architecture.empty() || knows_tensors_of(architecture)) return std::nullopt;
  ModelSource source;
  source.config.architecture = architecture;
  source.config.name = name_of_gguf(path);
  return source;
}

}  // namespace

absl::StatusOr<ModelConfig> gguf_config(const GgufFile& gguf, const std::string& file) {
  ModelConfig config;
  const std::optional<std::string> architecture = gguf.metadata.text("general.architecture");
  if (!architecture || architecture->empty()) {
    return absl::InvalidArgumentError(message(file, ": general.architecture is missing, expected a text"));
  }
  config.architecture = clean_text(*architecture);
  config.name = clean_text(gguf.metadata.text("general.name").value_or(""));
  if (absl::StripAsciiWhitespace(config.name).empty()) config.name = name_of_gguf(file);

  Keys keys(gguf.metadata, config.architecture, file);
  config.layers = keys.integer("block_count");
  config.dim = keys.integer("embedding_length");
  config.heads = keys.integer("attention.head_count");
  config.ffn = keys.integer("feed_forward_length");
  config.context = keys.integer("context_length");
  const GgufTensor* embedding = find_tensor(gguf, "token_embd.weight");
  if (embedding) config.vocabulary = embedding->rows;
  if (!knows_tensors_of(config.architecture)) return config;
  if (!embedding) return absl::InvalidArgumentError(message(file, ": tensor token_embd.weight is missing"));

  if (absl::Status status = read_known_config(keys, config, file); !status.ok()) return status;
  if (absl::Status status = check_config(config, file); !status.ok()) return status;
  return config;
}

absl::StatusOr<ModelSource> open_gguf(const std::string& path) {
  absl::StatusOr<GgufParts> parts = open_gguf_parts(path);
  if (!parts.ok()) {
    if (std::optional<ModelSource> other = of_unknown_family(path)) return *std::move(other);
    return parts.status();
  }
  const std::string file = parts->files.front()->path();
  absl::StatusOr<ModelConfig> config = gguf_config(parts->all, file);
  if (!config.ok()) return config.status();

  ModelSource source;
  source.config = *std::move(config);
  if (!knows_tensors_of(source.config.architecture)) return source;
  source.generation = gguf_generation(parts->all.metadata, file, source.warnings);

  Checkpoint checkpoint(file, source.config);
  if (absl::Status status = add_tensors(parts->all, source, checkpoint); !status.ok()) return status;
  absl::StatusOr<TokenizerFiles> tokenizer = read_gguf_vocabulary(parts->all.metadata);
  if (!tokenizer.ok()) {
    return absl::Status(tokenizer.status().code(), message(file, ": ", tokenizer.status().message()));
  }
  source.vocabulary = std::move(tokenizer->vocabulary);
  source.chat_template = std::move(tokenizer->chat_template);
  drop_tokens_beyond(source.config.vocabulary, file, source.vocabulary, source.warnings);
  mark_chat_tokens(source.chat_template, source.vocabulary);
  if (absl::Status status = checkpoint.finish("gguf", std::move(parts->files), source); !status.ok()) return status;
  if (absl::Status status = check_rope_factors(source, path); !status.ok()) return status;
  return source;
}

}  // namespace halftone
