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
    vector(TensorPart::kFinalNorm, spec_.dim);
    vector(TensorPart::kRopeFactors, spec_.ropes.front().rotated / 2).required = false;
  }

  void layer(int64_t index) {
    layer_ = index;
    const LayerSpec& layer = spec_.layers[static_cast<size_t>(index)];
    vector(TensorPart::kAttentionNorm, spec_.dim);
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
      vector(TensorPart::kQNorm, layer.head_dim);
      vector(TensorPart::kKNorm, layer.head_dim);
    }
    vector(TensorPart::kMlpNorm, spec_.dim);
    matrix(TensorPart::kGate, TensorClass::kMlp, layer.ffn, spec_.dim);
    matrix(TensorPart::kUp, TensorClass::kMlp, layer.ffn, spec_.dim);
    matrix(TensorPart::kDown, TensorClass::kMlp, spec_.dim, layer.ffn);
  }

  std::vector<ExpectedTensor> take() { return std::move(tensors_); }

 private:
  int64_t interleaved(const LayerSpec& layer) const { return family_.gguf_interleaves ? layer.head_dim : 0; }

  ExpectedTensor& add(TensorPart part) {
    const TensorSpelling& spelling = llama_spelling(part);
    auto at = [&](const char* layers, std::string_view name) {
      if (name.empty()) return std::string();
      return layer_ < 0 ? std::string(name) : absl::StrCat(layers, ".", layer_, ".", std::string(name));
    };
    ExpectedTensor& tensor = tensors_.emplace_back();
    tensor.part = part;
    tensor.layer = layer_;
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

  const Family& family_;
  const ModelSpec& spec_;
  int64_t layer_ = -1;
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
