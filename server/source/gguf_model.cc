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

// The keys "<architecture>.*".
class GgufHyperparameters final : public Hyperparameters {
 public:
  // All must outlive this.
  GgufHyperparameters(const GgufMetadata& metadata, std::string_view architecture, const std::string& file)
      : metadata_(metadata), architecture_(architecture), file_(file) {}

  bool has(const char* key) const override { return metadata_.has(full(key)); }
  bool named(const char* key) const override { return has(key); }
  int64_t integer(const char* key, std::optional<int64_t> fallback) override {
    return read(key, metadata_.integer(full(key)), fallback, "an integer");
  }
  double number(const char* key, std::optional<double> fallback) override {
    return read(key, metadata_.number(full(key)), fallback, "a number");
  }
  bool flag(const char* key, bool fallback) override {
    return read(key, metadata_.flag(full(key)), std::optional<bool>(fallback), "true or false");
  }
  std::string text(const char* key, std::optional<std::string> fallback) override {
    return shown(read(key, metadata_.text(full(key)), fallback, "a text"));
  }
  std::optional<std::vector<int64_t>> integers(const char* key) const override {
    const auto* list = metadata_.find<std::vector<int64_t>>(full(key));
    return list != nullptr ? std::optional(*list) : std::nullopt;
  }
  std::optional<std::vector<std::string>> texts(const char* key) const override {
    const auto* list = metadata_.find<std::vector<std::string>>(full(key));
    return list != nullptr ? std::optional(*list) : std::nullopt;
  }
  std::unique_ptr<Hyperparameters> object(const char*) override { return nullptr; }  // there are none
  const std::string& file() const override { return file_; }
  std::string name(const char* key) const override { return message(file_, ": ", shown(full(key))); }

 private:
  std::string full(const char* key) const { return message(architecture_, ".", key); }

  template <typename Value>
  Value read(const char* key, const std::optional<Value>& value, const std::optional<Value>& fallback,
             std::string_view expected) {
    if (value) return *value;
    if (fallback && !has(key)) return *fallback;
    const char* what = has(key) ? " has another type, expected " : " is missing, expected ";
    complain(absl::InvalidArgumentError(message(name(key), what, expected)));
    return fallback.value_or(Value());
  }

  const GgufMetadata& metadata_;
  const std::string_view architecture_;
  const std::string& file_;
};

const GgufTensor* find_tensor(const GgufFile& gguf, std::string_view name) {
  for (const GgufTensor& tensor : gguf.tensors) {
    if (tensor.name == name) return &tensor;
  }
  return nullptr;
}

// Factors that are no positive numbers would make the rotation meaningless.
absl::Status check_rope_factors(const ModelSource& source, const std::string& file) {
  const SourceTensor* factors = source.find("rope_factors");
  if (!factors) return absl::OkStatus();
  if (source.spec.ropes.front().scaling.kind != RopeScaling::Kind::kNone) {
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

absl::Status add_tensors(const GgufFile& gguf, ModelSpec& spec, Checkpoint& checkpoint) {
  for (const GgufTensor& tensor : gguf.tensors) {
    if (checkpoint.knows(tensor.name) && !tensor.format) {
      return absl::UnimplementedError(message(tensor.file, ": tensor ", shown(tensor.name), " is ",
                                              gguf_type_name(tensor.type), ", expected one of ",
                                              known_tensor_formats()));
    }
    const TensorPlace place{tensor.file, tensor.name,       tensor.format, tensor.rows,
                            tensor.cols, tensor.dimensions, tensor.bytes};
    if (absl::Status status = checkpoint.add_tensor(place); !status.ok()) return status;
  }
  // A head that repeats the embedding byte for byte is the embedding: it is not stored twice.
  const TensorPlace *embedding = checkpoint.find("embedding"), *head = checkpoint.find("head");
  spec.tied_head =
      !head || (embedding && head->format == embedding->format && std::ranges::equal(head->bytes, embedding->bytes));
  if (head && spec.tied_head) checkpoint.remove("head");
  return absl::OkStatus();
}

absl::StatusOr<const Family*> family_of(const GgufMetadata& metadata, const std::string& file) {
  const std::optional<std::string> architecture = metadata.text("general.architecture");
  if (!architecture || architecture->empty()) {
    return absl::InvalidArgumentError(message(file, ": general.architecture is missing, expected a text"));
  }
  if (const Family* family = find_family(*architecture)) return family;
  return unknown_family(file, shown(*architecture));
}

// What is wrong with the tensors of a family that we do not run is of no interest: that we do not run it is. OK:
// nothing is known about it.
absl::Status of_unknown_family(const std::string& path) {
  absl::StatusOr<std::unique_ptr<MappedFile>> file = MappedFile::open(path);
  if (!file.ok()) return absl::OkStatus();
  absl::StatusOr<GgufMetadata> metadata = parse_gguf_metadata((*file)->bytes(), path);
  if (!metadata.ok()) return absl::OkStatus();
  const absl::Status status = family_of(*metadata, path).status();
  return absl::IsUnimplemented(status) ? status : absl::OkStatus();
}

absl::StatusOr<ModelSpec> read_spec(const GgufFile& gguf, const Family& family, const std::string& file) {
  const GgufTensor* embedding = find_tensor(gguf, "token_embd.weight");
  if (!embedding) return absl::InvalidArgumentError(message(file, ": tensor token_embd.weight is missing"));
  GgufHyperparameters keys(gguf.metadata, family.name, file);
  absl::StatusOr<ModelSpec> spec = read_gguf_spec(family, keys, embedding->rows);
  if (!spec.ok()) return spec.status();
  spec->name = clean_text(gguf.metadata.text("general.name").value_or(""));
  if (absl::StripAsciiWhitespace(spec->name).empty()) spec->name = name_of_gguf(file);
  return spec;
}

}  // namespace

absl::StatusOr<ModelSource> open_gguf(const std::string& path) {
  absl::StatusOr<GgufParts> parts = open_gguf_parts(path);
  if (!parts.ok()) {
    if (absl::Status other = of_unknown_family(path); !other.ok()) return other;
    return parts.status();
  }
  const std::string file = parts->files.front()->path();
  absl::StatusOr<const Family*> family = family_of(parts->all.metadata, file);
  if (!family.ok()) return family.status();
  absl::StatusOr<ModelSpec> spec = read_spec(parts->all, **family, file);
  if (!spec.ok()) return spec.status();

  ModelSource source;
  source.spec = *std::move(spec);
  source.generation = gguf_generation(parts->all.metadata, file, source.warnings);

  Checkpoint checkpoint(FileKind::kGguf, file, **family, source.spec);
  if (absl::Status status = add_tensors(parts->all, source.spec, checkpoint); !status.ok()) return status;
  absl::StatusOr<TokenizerFiles> tokenizer = read_gguf_vocabulary(parts->all.metadata);
  if (!tokenizer.ok()) {
    return absl::Status(tokenizer.status().code(), message(file, ": ", tokenizer.status().message()));
  }
  source.vocabulary = std::move(tokenizer->vocabulary);
  source.chat_template = std::move(tokenizer->chat_template);
  drop_tokens_beyond(source.spec.vocabulary, file, source.vocabulary, source.warnings);
  mark_chat_tokens(source.chat_template, source.vocabulary);
  if (absl::Status status = checkpoint.finish(std::move(parts->files), source); !status.ok()) return status;
  if (absl::Status status = check_rope_factors(source, path); !status.ok()) return status;
  return source;
}

}  // namespace halftone
