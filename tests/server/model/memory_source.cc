#include "tests/server/model/memory_source.h"

#include <algorithm>

namespace halftone {
namespace {

class TensorInMemory final : public SourceTensor {
 public:
  TensorInMemory(std::string name, MemoryTensor tensor) : name_(std::move(name)), tensor_(std::move(tensor)) {}

  std::string_view name() const override { return name_; }
  std::string_view type() const override { return tensor_.type; }
  int64_t rows() const override { return tensor_.rows; }
  int64_t cols() const override { return tensor_.cols; }
  std::optional<AffineGrid> grid() const override { return tensor_.grid; }

  absl::Status read_rows(int64_t first, int64_t count, std::span<float> out) const override {
    if (!tensor_.readable) return absl::InvalidArgumentError("unreadable");
    std::copy_n(tensor_.values.begin() + first * tensor_.cols, count * tensor_.cols, out.begin());
    return absl::OkStatus();
  }

  absl::Status read_codes(int64_t first, int64_t count, WeightRows& out) const override {
    const int64_t groups = tensor_.cols / tensor_.grid->group;
    auto rows = [&](const auto& all, int64_t each) {
      return std::remove_cvref_t<decltype(all)>(all.begin() + first * each, all.begin() + (first + count) * each);
    };
    out.resize(count, tensor_.cols, *tensor_.grid);
    out.codes = rows(tensor_.groups.codes, tensor_.cols);
    out.scale = rows(tensor_.groups.scale, groups);
    out.minimum = rows(tensor_.groups.minimum, groups);
    return absl::OkStatus();
  }

 private:
  std::string name_;
  MemoryTensor tensor_;
};

}  // namespace

MemoryTensors memory_tensors(const TinyCheckpoint& checkpoint) {
  MemoryTensors tensors;
  for (TinyTensor& tiny : tiny_tensors(checkpoint)) {
    MemoryTensor& tensor = tensors[tiny.name];
    tensor.type = tiny.type;
    tensor.rows = tiny.rows;
    tensor.cols = tiny.cols;
    tensor.values = std::move(tiny.values);
  }
  return tensors;
}

ModelSource memory_source(const ModelSpec& spec, MemoryTensors tensors) {
  ModelSource source;
  source.spec = spec;
  source.format = "memory/F32";
  source.digest = "sha256:none";
  for (auto& [name, tensor] : tensors) {
    source.tensors.emplace(name, std::make_unique<TensorInMemory>(name, std::move(tensor)));
  }
  return source;
}

}  // namespace halftone
