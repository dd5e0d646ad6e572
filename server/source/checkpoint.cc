#include "server/source/checkpoint.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "server/source/digest.h"
#include "server/source/message.h"

namespace halftone {
namespace {

std::string shape_text(int64_t rows, int64_t cols, bool vector) {
  return vector ? message("[", cols, "]") : message("[", rows, ", ", cols, "]");
}

// Tensors that some exporters write and that carry nothing: tables of the rotation, and masks of the past.
bool is_derived_tensor(std::string_view name) {
  constexpr std::string_view kDerived[] = {"rotary_emb.inv_freq",   "rotary_emb.cos_cached", "rotary_emb.sin_cached",
                                           ".attn_rot_embd.weight", ".attn.masked_bias",     ".attn.bias"};
  const auto ends = [&](std::string_view end) { return name.ends_with(end); };
  return name == "rope.freqs" || std::any_of(std::begin(kDerived), std::end(kDerived), ends);
}

// Hugging Face's names without the prefix that is missing where the bare decoder was saved.
std::string_view without_prefix(FileKind kind, std::string_view file_name) {
  constexpr std::string_view kPrefix = "model.";
  if (kind == FileKind::kHuggingFace && file_name.starts_with(kPrefix)) file_name.remove_prefix(kPrefix.size());
  return file_name;
}

}  // namespace

Checkpoint::Checkpoint(FileKind kind, std::string file, const Family& family, ModelSpec& spec)
    : kind_(kind), file_(std::move(file)), family_(family), spec_(spec), expected_(expected_tensors(family, spec)) {
  for (size_t i = 0; i < expected_.size(); ++i) {
    const std::string& name = kind == FileKind::kGguf ? expected_[i].gguf : expected_[i].huggingface;
    if (!name.empty()) by_file_name_[name].push_back(i);
  }
}

std::span<const size_t> Checkpoint::find_expected(std::string_view file_name) const {
  auto it = by_file_name_.find(std::string(without_prefix(kind_, file_name)));
  return it == by_file_name_.end() ? std::span<const size_t>() : std::span(it->second);
}

// "blk.12.attn_q.weight" of a model of 12 layers: the same name in layer 0 is known. "blk.012..." is none: each tensor
// has one spelling.
bool Checkpoint::names_a_layer_beyond(std::string_view file_name) const {
  std::string_view name = without_prefix(kind_, file_name);
  const std::string_view layers = kind_ == FileKind::kGguf ? "blk." : "layers.";
  if (!name.starts_with(layers)) return false;
  name.remove_prefix(layers.size());
  const size_t dot = name.find('.');
  if (dot == std::string_view::npos || dot == 0 || dot > 9 || name[0] == '0') return false;
  const std::string_view digits = name.substr(0, dot);
  const bool number = std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; });
  return number && by_file_name_.contains(message(layers, "0", name.substr(dot)));
}

absl::Status Checkpoint::add_tensor(const TensorPlace& place) {
  const std::string who = message(place.file, ": tensor ", shown(place.name));
  const std::span<const size_t> found = find_expected(place.name);
  if (found.empty()) {
    if (is_derived_tensor(place.name)) return absl::OkStatus();
    if (names_a_layer_beyond(place.name)) {
      return absl::InvalidArgumentError(
          message(who, ": the model has ", spec_.layers.size(), " layers, counted from 0"));
    }
    return absl::InvalidArgumentError(message(who, " belongs to no ", family_.name, " model that we know"));
  }
  const ExpectedTensor& first = expected_[found.front()];
  const int64_t stacked = kind_ == FileKind::kGguf ? first.gguf_stacked : 0;
  const int64_t rows = stacked > 0 ? stacked * first.rows : first.rows;
  if (place.rows != rows || place.cols != first.cols || place.dimensions > (stacked > 0 ? 3 : 2)) {
    return absl::InvalidArgumentError(message(who, " is ", shape_text(place.rows, place.cols, place.dimensions == 1),
                                              ", expected ", shape_text(rows, first.cols, first.vector)));
  }
  const size_t bytes = place.bytes.size() / found.size();
  for (size_t i = 0; i < found.size(); ++i) {
    TensorPlace part = place;
    part.rows = first.rows;
    part.bytes = place.bytes.subspan(i * bytes, bytes);
    if (absl::Status status = add_expected(expected_[found[i]], std::move(part)); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status Checkpoint::add_expected(const ExpectedTensor& expected, TensorPlace place) {
  if (kind_ == FileKind::kGguf) {
    place.interleaved_head = expected.interleaved_head;
  } else {
    place.added = expected.huggingface_offset;
  }
  const std::string who = message(place.file, ": tensor ", shown(place.name));
  if (!tensors_.emplace(expected.name, std::move(place)).second) {
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

void Checkpoint::drop_absent_parts() {
  std::set<TensorPart> parts;
  for (const ExpectedTensor& expected : expected_) {
    if (tensors_.contains(expected.name)) parts.insert(expected.part);
  }
  halftone::drop_absent_parts(
      family_, [&](TensorPart part) { return parts.contains(part); }, spec_);
  expected_ = expected_tensors(family_, spec_);
}

absl::Status Checkpoint::check_complete() const {
  for (const ExpectedTensor& expected : expected_) {
    if (expected.required && !tensors_.contains(expected.name)) {
      return absl::InvalidArgumentError(message(file_, ": the tensor for ", expected.name, " is missing, expected ",
                                                shape_text(expected.rows, expected.cols, expected.vector)));
    }
  }
  return absl::OkStatus();
}

absl::Status Checkpoint::finish(std::vector<std::unique_ptr<MappedFile>> files, ModelSource& source) {
  drop_absent_parts();
  if (absl::Status status = check_complete(); !status.ok()) return status;
  std::map<std::string_view, int> types;
  double bits = 0, weights = 0;
  for (const ExpectedTensor& expected : expected_) {
    const TensorPlace* place = expected.vector ? nullptr : find(expected.name);
    if (place == nullptr) continue;
    ++types[place->format->name];
    bits += 8.0 * static_cast<double>(place->bytes.size());
    weights += static_cast<double>(place->rows) * static_cast<double>(place->cols);
  }
  auto most = std::max_element(types.begin(), types.end(), [](auto& a, auto& b) { return a.second < b.second; });
  source.format = message(kind_ == FileKind::kGguf ? "gguf" : "safetensors", "/", most->first);
  source.bits_per_weight = bits / weights;
  source.digest = source_digest(spec_, tensors_);
  for (auto& [name, place] : tensors_) {
    source.tensors.emplace(name, std::make_unique<MappedTensor>(std::move(place)));
  }
  tensors_.clear();
  for (const auto& file : files) source.mapped_bytes += file->bytes().size();
  source.files = std::make_shared<std::vector<std::unique_ptr<MappedFile>>>(std::move(files));
  return absl::OkStatus();
}

}  // namespace halftone
