#include "server/source/huggingface_model.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "server/source/checkpoint.h"
#include "server/source/huggingface_config.h"
#include "server/source/json_fields.h"
#include "server/source/mapped_file.h"
#include "server/source/message.h"
#include "server/source/model_name.h"
#include "server/source/safetensors_file.h"
#include "server/source/tokenizer_json.h"
#include "server/source/vocabulary_fit.h"
#include "server/text/chat_template.h"

namespace halftone {
namespace {

constexpr uint64_t kMaxConfigBytes = uint64_t{4} << 20;
constexpr uint64_t kMaxTokenizerBytes = uint64_t{128} << 20;
constexpr uint64_t kMaxTemplateBytes = uint64_t{1} << 20;
constexpr uint64_t kMaxIndexBytes = uint64_t{64} << 20;
constexpr size_t kMaxShards = 4096;

std::string join(const std::string& directory, std::string_view name) {
  return (std::filesystem::path(directory) / name).string();
}

// Empty where the file is missing.
absl::StatusOr<std::string> read_optional(const std::string& path, uint64_t limit_bytes) {
  absl::StatusOr<std::string> text = read_small_file(path, limit_bytes);
  if (absl::IsNotFound(text.status())) return std::string();
  return text;
}

absl::StatusOr<HuggingFaceConfig> read_config(const std::string& directory) {
  const std::string config_path = join(directory, "config.json");
  const std::string generation_path = join(directory, "generation_config.json");
  absl::StatusOr<std::string> config = read_small_file(config_path, kMaxConfigBytes);
  if (!config.ok()) return config.status();
  absl::StatusOr<std::string> generation = read_optional(generation_path, kMaxConfigBytes);
  if (!generation.ok()) return generation.status();
  return read_huggingface_config(*config, config_path, *generation, generation_path);
}

absl::Status read_text(const std::string& directory, const HuggingFaceConfig& config, ModelSource& source) {
  const std::string path = join(directory, "tokenizer.json");
  absl::StatusOr<std::string> tokenizer = read_small_file(path, kMaxTokenizerBytes);
  if (!tokenizer.ok()) return tokenizer.status();
  absl::StatusOr<std::string> options = read_optional(join(directory, "tokenizer_config.json"), kMaxTokenizerBytes);
  if (!options.ok()) return options.status();
  absl::StatusOr<std::string> chat = read_optional(join(directory, "chat_template.jinja"), kMaxTemplateBytes);
  if (!chat.ok()) return chat.status();

  absl::StatusOr<TokenizerFiles> files = read_tokenizer_json(*tokenizer, *options);
  if (!files.ok()) return absl::Status(files.status().code(), message(path, ": ", files.status().message()));
  source.vocabulary = std::move(files->vocabulary);
  source.chat_template = chat->empty() ? std::move(files->chat_template) : *std::move(chat);
  if (!source.vocabulary.bos) source.vocabulary.bos = config.bos;
  std::vector<TokenId>& eos = source.vocabulary.eos;
  std::set<TokenId> seen(eos.begin(), eos.end());
  for (TokenId id : config.eos) {
    if (seen.insert(id).second) eos.push_back(id);
  }
  drop_tokens_beyond(source.spec.vocabulary, path, source.vocabulary, source.warnings);
  mark_chat_tokens(source.chat_template, source.vocabulary);
  return absl::OkStatus();
}

using Shards = std::map<std::string, std::vector<std::string>>;  // file name -> tensors that the index puts into it

absl::StatusOr<Shards> read_index(const std::string& directory) {
  const std::string path = join(directory, "model.safetensors.index.json");
  absl::StatusOr<std::string> text = read_small_file(path, kMaxIndexBytes);
  if (!text.ok()) return text.status();
  absl::StatusOr<nlohmann::json> index = parse_json_object(*text, path, RepeatedKey::kLastCounts);
  if (!index.ok()) return index.status();
  JsonFields fields(*index, path);
  const nlohmann::json* weight_map = fields.find("weight_map");
  if (!weight_map || !weight_map->is_object() || weight_map->empty()) {
    return absl::InvalidArgumentError(message(fields.name("weight_map"), ": expected an object of file names"));
  }
  Shards shards;
  for (const auto& [tensor, value] : weight_map->items()) {
    const std::string file = value.is_string() ? value.get<std::string>() : "";
    // A name alone: the index must not lead out of the directory. It stands in messages: a clean one.
    if (file.empty() || file.find('/') != std::string::npos || file == ".." || clean_text(file, 255) != file) {
      return absl::InvalidArgumentError(message(path, ": tensor ", shown(tensor), " is in no file of this directory"));
    }
    shards[file].push_back(tensor);
  }
  if (shards.size() > kMaxShards) {
    return absl::InvalidArgumentError(message(path, ": ", shards.size(), " files, expected at most ", kMaxShards));
  }
  return shards;
}

absl::StatusOr<Shards> find_shards(const std::string& directory) {
  std::error_code ignored;
  if (std::filesystem::exists(join(directory, "model.safetensors"), ignored)) return Shards{{"model.safetensors", {}}};
  absl::StatusOr<Shards> shards = read_index(directory);
  if (absl::IsNotFound(shards.status())) {
    return absl::NotFoundError(
        message(directory, ": neither model.safetensors nor model.safetensors.index.json is there"));
  }
  return shards;
}

absl::Status add_shard(const MappedFile& file, const std::vector<std::string>& promised, Checkpoint& checkpoint) {
  absl::StatusOr<std::vector<SafeTensor>> tensors = parse_safetensors(file.bytes(), file.path());
  if (!tensors.ok()) return tensors.status();
  std::set<std::string_view> there;
  for (const SafeTensor& tensor : *tensors) there.insert(tensor.name);
  for (const std::string& name : promised) {
    if (!there.contains(name)) {
      return absl::InvalidArgumentError(
          message(file.path(), ": tensor ", shown(name), " is missing, the index says it is here"));
    }
  }
  for (SafeTensor& tensor : *tensors) {
    if (checkpoint.knows(tensor.name) && !tensor.format) {
      return absl::UnimplementedError(message(file.path(), ": tensor ", shown(tensor.name), " is ", shown(tensor.dtype),
                                              ", expected F32, F16 or BF16"));
    }
    const TensorPlace place{file.path(), tensor.name,       tensor.format, tensor.rows,
                            tensor.cols, tensor.dimensions, tensor.bytes};
    if (absl::Status status = checkpoint.add_tensor(place); !status.ok()) return status;
  }
  return absl::OkStatus();
}

// A head beside an embedding that is to be the head: one of them would be ignored.
absl::Status tie_head(const ModelSpec& spec, Checkpoint& checkpoint) {
  const TensorPlace* head = checkpoint.find("head");
  if (!head || !spec.tied_head) return absl::OkStatus();
  absl::StatusOr<bool> same = checkpoint.head_is_embedding();
  if (!same.ok()) return same.status();
  if (!*same) {
    return absl::InvalidArgumentError(message(head->file, ": tensor ", shown(head->name), " is not the embedding, but ",
                                              "config.json says tie_word_embeddings"));
  }
  checkpoint.remove("head");
  return absl::OkStatus();
}

// What config.json says about biases of the attention is what the checkpoint has.
absl::Status check_biases(const std::string& directory, const HuggingFaceConfig& config, const Checkpoint& checkpoint) {
  if (!config.attention_bias) return absl::OkStatus();
  for (int64_t layer = 0; layer < config.spec.layer_count(); ++layer) {
    for (const char* part : {"q_bias", "k_bias", "v_bias", "o_bias"}) {
      const TensorPlace* bias = checkpoint.find(message("layers.", layer, ".", part));
      if ((bias != nullptr) == *config.attention_bias) continue;
      const std::string what = bias ? message("tensor ", shown(bias->name), " is there")
                                    : message("the tensor for layers.", layer, ".", part, " is missing");
      return absl::InvalidArgumentError(message(join(directory, "config.json"), ": attention_bias is ",
                                                *config.attention_bias ? "true" : "false", ", but ", what));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ModelSource> open_huggingface(const std::string& directory) {
  absl::StatusOr<HuggingFaceConfig> config = read_config(directory);
  if (!config.ok()) return config.status();
  ModelSource source;
  source.spec = config->spec;
  source.generation = config->generation;
  source.warnings = config->warnings;
  source.spec.name = name_of_directory(directory);
  if (absl::Status status = read_text(directory, *config, source); !status.ok()) return status;

  absl::StatusOr<Shards> shards = find_shards(directory);
  if (!shards.ok()) return shards.status();
  Checkpoint checkpoint(FileKind::kHuggingFace, directory, *config->family, source.spec);
  std::vector<std::unique_ptr<MappedFile>> files;
  for (const auto& [name, tensors] : *shards) {
    absl::StatusOr<std::unique_ptr<MappedFile>> file = MappedFile::open(join(directory, name));
    if (!file.ok()) return file.status();
    absl::Status status = add_shard(**file, tensors, checkpoint);
    if (!status.ok()) return status;
    files.push_back(*std::move(file));
  }
  if (absl::Status status = tie_head(source.spec, checkpoint); !status.ok()) return status;
  if (absl::Status status = check_biases(directory, *config, checkpoint); !status.ok()) return status;
  if (absl::Status status = checkpoint.finish(std::move(files), source); !status.ok()) return status;
  return source;
}

}  // namespace halftone
