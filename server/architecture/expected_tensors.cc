#include "server/architecture/expected_tensors.h"

#include "absl/strings/str_cat.h"
#include "kernels/contract/check.h"

namespace halftone {
namespace {

class Table {
 public:
  Table(const Family& family, const ModelSpec& spec) : family_(family), spec_(spec) {}

  void whole_model() {
    matrix(TensorPart::kEmbedding, TensorClass::kEmbedding, spec_.vocabulary, spec_.dim);
    matrix(TensorPart::kHead, TensorClass::kHead, spec_.vocabulary, spec_.dim).required = !spec_.tied_head;
    norm(TensorPart::kFinalNorm, spec_.dim);
    vector(TensorPart::kRopeFactors, spec_.ropes.front().rotated / 2).required = false;
  }

  void layer(int64_t index) {
    layer_ = index;
    const LayerSpec& layer = spec_.layers[static_cast<size_t>(index)];
    norm(TensorPart::kAttentionNorm, spec_.dim);
    matrix(TensorPart::kQ, TensorClass::kAttention, layer.q_size(), spec_.dim).interleaved_head = interleaved(layer);
    matrix(TensorPart::kK, TensorClass::kAttention, layer.kv_size(), spec_.dim).interleaved_head = interleaved(layer);
    matrix(TensorPart::kV, TensorClass::kAttention, layer.kv_size(), spec_.dim);
    matrix(TensorPart::kO, TensorClass::kAttention, spec_.dim, layer.q_size());
    if (layer.qkv_bias) {
      vector(TensorPart::kQBias, layer.q_size()).interleaved_head = interleaved(layer);
      vector(TensorPart::kKBias, layer.kv_size()).interleaved_head = interleaved(layer);
      vector(TensorPart::kVBias, layer.kv_size());
    }
    if (layer.o_bias) vector(TensorPart::kOBias, spec_.dim);
    if (layer.qk_norm) {
      norm(TensorPart::kQNorm, layer.head_dim);
      norm(TensorPart::kKNorm, layer.head_dim);
    }
    if (layer.post_norms) norm(TensorPart::kAttentionPostNorm, spec_.dim);
    norm(TensorPart::kMlpNorm, spec_.dim);
    layer.experts.count > 0 ? experts(layer.experts) : mlp(layer.ffn);
    if (layer.post_norms) norm(TensorPart::kMlpPostNorm, spec_.dim);
  }

  std::vector<ExpectedTensor> take() { return std::move(tensors_); }

 private:
  int64_t interleaved(const LayerSpec& layer) const { return family_.gguf_interleaves ? layer.head_dim : 0; }

  void mlp(int64_t ffn) {
    matrix(TensorPart::kGate, TensorClass::kMlp, ffn, spec_.dim);
    matrix(TensorPart::kUp, TensorClass::kMlp, ffn, spec_.dim);
    matrix(TensorPart::kDown, TensorClass::kMlp, spec_.dim, ffn);
  }

  void experts(const ExpertsSpec& experts) {
    matrix(TensorPart::kRouter, TensorClass::kRouter, experts.count, spec_.dim);
    for (expert_ = 0; expert_ < experts.count; ++expert_) {
      matrix(TensorPart::kExpertGate, TensorClass::kMlp, experts.ffn, spec_.dim).gguf_stacked = experts.count;
      matrix(TensorPart::kExpertUp, TensorClass::kMlp, experts.ffn, spec_.dim).gguf_stacked = experts.count;
      matrix(TensorPart::kExpertDown, TensorClass::kMlp, spec_.dim, experts.ffn).gguf_stacked = experts.count;
    }
    expert_ = -1;
  }

  ExpectedTensor& add(TensorPart part) {
    const TensorSpelling& spelling = spelling_of(family_, part);
    auto at = [&](const char* layers, std::string_view name) {
      if (name.empty()) return std::string();
      std::string text(name);
      if (const size_t star = text.find('*'); star != std::string::npos) text.replace(star, 1, absl::StrCat(expert_));
      return layer_ < 0 ? text : absl::StrCat(layers, ".", layer_, ".", text);
    };
    ExpectedTensor& tensor = tensors_.emplace_back();
    tensor.part = part;
    tensor.layer = layer_;
    tensor.expert = expert_;
    tensor.name = at("layers", spelling.name);
    tensor.huggingface = at("layers", spelling.huggingface);
    tensor.gguf = at("blk", spelling.gguf);
    return tensor;
  }

  ExpectedTensor& matrix(TensorPart part, TensorClass tensor_class, int64_t rows, int64_t cols) {
    ExpectedTensor& tensor = add(part);
    tensor.tensor_class = tensor_class;
    tensor.rows = rows;
    tensor.cols = cols;
    return tensor;
  }

  ExpectedTensor& vector(TensorPart part, int64_t size) {
    ExpectedTensor& tensor = add(part);
    tensor.cols = size;
    tensor.vector = true;
    return tensor;
  }

  void norm(TensorPart part, int64_t size) { vector(part, size).huggingface_offset = family_.huggingface_norm_offset; }

  const Family& family_;
  const ModelSpec& spec_;
  int64_t layer_ = -1, expert_ = -1;
  std::vector<ExpectedTensor> tensors_;
};

}  // namespace

std::vector<ExpectedTensor> expected_tensors(const Family& family, const ModelSpec& spec) {
  Table table(family, spec);
  table.whole_model();
  for (int64_t layer = 0; layer < spec.layer_count(); ++layer) table.layer(layer);
  return table.take();
}

std::vector<ExpectedTensor> expected_tensors(const ModelSpec& spec) {
  const Family* family = find_family(spec.family);
  HALFTONE_CHECK(family != nullptr);
  return expected_tensors(*family, spec);
}

}  // namespace halftone
