#include "server/source/checkpoint.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <span>
#include <utility>

#include "server/ranges.h"
#include "server/source/digest.h"
#include "server/source/message.h"

namespace halftone {
namespace {

constexpr std::array<std::string_view, 4> kArchitectures = {"llama", "mistral", "qwen2", "qwen3"};
constexpr std::array<std::string_view, 9> kLayerParts = {"attention_norm", "q",    "k",  "v",   "o",
                                                         "mlp_norm",       "gate", "up", "down"};

struct Shape {
  int64_t rows = 0, cols = 0;
  bool vector = false;
};

Shape vector_of(int64_t size) { return {1, size, true}; }

Shape expected_shape(const ModelConfig& c, std::string_view part) {
  const int64_t q = c.heads * c.head_dim, kv = c.kv_heads * c.head_dim;
  if (part == "embedding" || part == "head") return {c.vocabulary, c.dim};
  if (part == "rope_factors") return vector_of(c.head_dim / 2);
  if (part == "q") return {q, c.dim};
  if (part == "k" || part == "v") return {kv, c.dim};
  if (part == "o") return {c.dim, q};
  if (part == "q_bias") return vector_of(q);
  if (part == "k_bias" || part == "v_bias") return vector_of(kv);
  if (part == "o_bias") return vector_of(c.dim);
  if (part == "q_norm" || part == "k_norm") return vector_of(c.head_dim);
  if (part == "gate" || part == "up") return {c.ffn, c.dim};
  if (part == "down") return {c.dim, c.ffn};
  return vector_of(c.dim);  // the norms
}

std::string shape_text(int64_t rows, int64_t cols, bool vector) {
  return vector ? message("[", cols, "]") : message("[", rows, ", ", cols, "]");
}

// [outputs, inputs]: everything but norms, biases and factors.
bool is_matrix(const ModelConfig& config, std::string_view name) {
  const size_t dot = name.rfind('.');
  return !expected_shape(config, dot == std::string_view::npos ? name : name.substr(dot + 1)).vector;
}

class Files final : public SourceFiles {
 public:
  explicit Files(std::vector<std::unique_ptr<MappedFile>> files) : files_(std::move(files)) {}
  uint64_t mapped_bytes() const override {
    uint64_t sum = 0;
    for (const auto& file : files_) sum += file->bytes().size();
    return sum;
  }
  uint64_t resident_bytes() const override {
    uint64_t sum = 0;
    for (const auto& file : files_) sum += file->resident_bytes();
    return sum;
  }
  void drop_pages() const override {
    for (const auto& file : files_) file->drop_pages();
  }

 private:
  std::vector<std::unique_ptr<MappedFile>> files_;
};

absl::Status check_range(const std::string& file, std::string_view name, double value, double least, double most) {
  if (value >= least && value <= most) return absl::OkStatus();
  return absl::InvalidArgumentError(message(file, ": ", name, " = ", value, ", expected ", least, " to ", most));
}

absl::Status check_rope(const ModelConfig& c, const std::string& file) {
  const RopeScaling& rope = c.rope_scaling;
  absl::Status status = check_range(file, "rope theta", c.rope_theta, 1, 1e12);
  if (rope.kind == RopeScaling::Kind::kNone) return status;
  status.Update(check_range(file, "rope scaling factor", rope.factor, 1, 1e6));
  if (rope.kind == RopeScaling::Kind::kLinear) return status;
  status.Update(check_range(file, "rope scaling low_freq_factor", rope.low_frequency_factor, 1e-3, 1e6));
  status.Update(check_range(file, "rope scaling high_freq_factor", rope.high_frequency_factor, 1e-3, 1e6));
  status.Update(check_range(file, "rope scaling original context", static_cast<double>(rope.original_context), 1, 1e9));
  if (status.ok() && !(rope.high_frequency_factor > rope.low_frequency_factor)) {
    return absl::InvalidArgumentError(message(file, ": rope scaling high_freq_factor ", rope.high_frequency_factor,
                                              " is not above low_freq_factor ", rope.low_frequency_factor));
  }
  return status;
}

}  // namespace

bool knows_tensors_of(std::string_view architecture) {
  return std::find(kArchitectures.begin(), kArchitectures.end(), architecture) != kArchitectures.end();
}

absl::Status check_config(const ModelConfig& c, const std::string& file) {
  struct Range {
    std::string_view name;
    int64_t value, most;
  };
  const Range ranges[] = {{"layers", c.layers, 4096},
                          {"embedding length", c.dim, 1 << 20},
                          {"heads", c.heads, 1 << 14},
                          {"KV heads", c.kv_heads, 1 << 14},
                          {"head size", c.head_dim, 1 << 14},
                          {"feed-forward length", c.ffn, 1 << 24},
                          {"vocabulary", c.vocabulary, 1 << 26},
                          {"context length", c.context, static_cast<int64_t>(ranges::kContextTokens.high)}};
  for (const Range& range : ranges) {
    absl::Status status =
        check_range(file, range.name, static_cast<double>(range.value), 1, static_cast<double>(range.most));
    if (!status.ok()) return status;
  }
  if (c.heads % c.kv_heads != 0) {
    return absl::InvalidArgumentError(
        message(file, ": ", c.heads, " heads, expected a multiple of the ", c.kv_heads, " KV heads"));
  }
  if (c.head_dim % 2 != 0) {
    return absl::InvalidArgumentError(message(file, ": head size ", c.head_dim, ", expected an even number"));
  }
  absl::Status status = check_range(file, "rms epsilon", c.rms_epsilon, 0, 1);
  status.Update(check_range(file, "sliding window", static_cast<double>(c.sliding_window), 0, 1 << 30));
  status.Update(check_rope(c, file));
  return status;
}

absl::Status Checkpoint::add_tensor(const std::optional<CanonicalName>& name, TensorPlace place) {
  const std::string who = message(place.file, ": tensor ", shown(place.name));
  if (!name) {
    if (is_derived_tensor(place.name)) return absl::OkStatus();
    return absl::InvalidArgumentError(message(who, " belongs to no ", config_.architecture, " model that we know"));
  }
  if (name->layer >= config_.layers) {
    return absl::InvalidArgumentError(message(who, ": the model has ", config_.layers, " layers, counted from 0"));
  }
  const Shape shape = expected_shape(config_, name->part);
  if (place.rows != shape.rows || place.cols != shape.cols || place.dimensions > 2) {
    return absl::InvalidArgumentError(message(who, " is ", shape_text(place.rows, place.cols, place.dimensions == 1),
                                              ", expected ", shape_text(shape.rows, shape.cols, shape.vector)));
  }
  if (!tensors_.emplace(name->text, std::move(place)).second) {
    return absl::InvalidArgumentError(message(who, " is there twice"));
  }
  return absl::OkStatus();
}

const TensorPlace* Checkpoint::find(std::string_view name) const {
  auto it = tensors_.find(name);
  return it == tensors_.end() ? nullptr : &it->second;
}

absl::StatusOr<bool> Checkpoint::head_is_embedding() const {
  const TensorPlace *head = find("head"), *embedding = find("embedding");
  if (!head || !embedding) return false;
  if (head->format == embedding->format) return std::ranges::equal(head->bytes, embedding->bytes);
  const MappedTensor a(*head), b(*embedding);
  std::vector<float> left(static_cast<size_t>(a.cols())), right(left.size());
  for (int64_t row = 0; row < a.rows(); ++row) {
    absl::Status status = a.read_rows(row, 1, left);
    if (status.ok()) status = b.read_rows(row, 1, right);
    if (!status.ok()) return status;
    if (left != right) return false;
  }
  return true;
}

absl::Status Checkpoint::check_complete() const {
  std::vector<std::string> wanted = {"embedding", "final_norm"};
  if (!config_.tied_head) wanted.push_back("head");
  for (int64_t layer = 0; layer < config_.layers; ++layer) {
    for (std::string_view part : kLayerParts) wanted.push_back(message("layers.", layer, ".", part));
  }
  for (const std::string& name : wanted) {
    if (!find(name)) return absl::InvalidArgumentError(message(file_, ": the tensor for ", name, " is missing"));
  }
  return absl::OkStatus();
}

absl::Status Checkpoint::finish(std::string_view kind, std::vector<std::unique_ptr<MappedFile>> files,
                                ModelSource& source) {
  if (absl::Status status = check_complete(); !status.ok()) return status;
  std::map<std::string_view, int> types;
  double bits = 0, weights = 0;
  for (const auto& [name, place] : tensors_) {
    if (!is_matrix(config_, name)) continue;
    ++types[place.format->name];
    bits += 8.0 * static_cast<double>(place.bytes.size());
    weights += static_cast<double>(place.rows) * static_cast<double>(place.cols);
  }
  auto most = std::max_element(types.begin(), types.end(), [](auto& a, auto& b) { return a.second < b.second; });
  source.format = message(kind, "/", most->first);
  source.bits_per_weight = bits / weights;
  source.digest = source_digest(config_, tensors_);
  for (auto& [name, place] : tensors_) {
    source.tensors.emplace(name, std::make_unique<MappedTensor>(std::move(place)));
  }
  tensors_.clear();
  source.files = std::make_shared<Files>(std::move(files));
  source.mapped_bytes = source.files->mapped_bytes();
  return absl::OkStatus();
}

}  // namespace halftone
