#include "tests/support/checkpoint_tiny.h"

#include <cmath>
#include <string_view>

#include "kernels/contract/check.h"

namespace halftone {
namespace {

// SplitMix64: the same numbers everywhere.
class Random {
 public:
  Random(uint64_t seed, std::string_view name) : state_(seed * 0x9e3779b97f4a7c15u + 1) {
    for (char c : name) state_ = (state_ ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  }
  // Near normal: mean 0, variance 1.
  float next() {
    double sum = -2.0;
    for (int i = 0; i < 4; ++i) sum += static_cast<double>(bits() >> 11) * 0x1p-53;
    return static_cast<float>(sum * std::sqrt(3.0));
  }

 private:
  uint64_t bits() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  uint64_t state_;
};

class Maker {
 public:
  explicit Maker(const TinyCheckpoint& checkpoint) : checkpoint_(checkpoint) {}

  void matrix(const std::string& name, int64_t rows, int64_t cols, float deviation) {
    const bool outside = name == "embedding" || name == "head";
    add({name, outside ? checkpoint_.embedding_type : checkpoint_.body_type, rows, cols, false, {}}, 0, deviation);
  }
  void vector(const std::string& name, int64_t size, float mean, float deviation) {
    add({name, "F32", 1, size, true, {}}, mean, deviation);
  }
  void experts(const std::string& at, const TinyConfig& c) {
    const float by_dim = 1 / std::sqrt(static_cast<float>(c.dim));
    matrix(at + "router", c.experts, c.dim, 2 * by_dim);
    for (int64_t expert = 0; expert < c.experts; ++expert) {
      const std::string of = at + "experts." + std::to_string(expert) + ".";
      matrix(of + "gate", c.expert_ffn, c.dim, 1.5f * by_dim);
      matrix(of + "up", c.expert_ffn, c.dim, 1.5f * by_dim);
      matrix(of + "down", c.dim, c.expert_ffn, 1 / std::sqrt(static_cast<float>(c.expert_ffn)));
    }
  }
  std::vector<TinyTensor> take() { return std::move(tensors_); }

 private:
  void add(TinyTensor tensor, float mean, float deviation) {
    Random random(checkpoint_.seed, tensor.name);
    tensor.values.resize(static_cast<size_t>(tensor.rows * tensor.cols));
    for (float& value : tensor.values) value = mean + deviation * random.next();
    tensors_.push_back(std::move(tensor));
  }

  const TinyCheckpoint& checkpoint_;
  std::vector<TinyTensor> tensors_;
};

std::string utf8(int code) {
  if (code < 0x80) return std::string(1, static_cast<char>(code));
  return {static_cast<char>(0xc0 | (code >> 6)), static_cast<char>(0x80 | (code & 63))};
}

// GPT-2's visible letter for each byte: printable ones stand for themselves, the others for U+0100 and on.
std::string byte_letter(int byte) {
  auto visible = [](int b) { return (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174; };
  if (visible(byte)) return utf8(byte);
  int code = 0x100;
  for (int b = 0; b < byte; ++b) code += visible(b) ? 0 : 1;
  return utf8(code);
}

}  // namespace

std::vector<TinyTensor> tiny_tensors(const TinyCheckpoint& checkpoint) {
  const TinyConfig& c = checkpoint.config;
  const float by_dim = 1 / std::sqrt(static_cast<float>(c.dim));
  Maker make(checkpoint);
  make.matrix("embedding", c.vocabulary, c.dim, 3 * by_dim);
  if (!c.tied_head) make.matrix("head", c.vocabulary, c.dim, 3 * by_dim);
  make.vector("final_norm", c.dim, 1, 0.1f);
  for (int64_t layer = 0; layer < c.layers; ++layer) {
    const std::string at = "layers." + std::to_string(layer) + ".";
    const auto [heads, kv_heads, ffn] = c.layer(layer);
    const int64_t q = heads * c.head_dim, kv = kv_heads * c.head_dim;
    const float by_q = 1 / std::sqrt(static_cast<float>(q)), by_ffn = 1 / std::sqrt(static_cast<float>(ffn));
    make.vector(at + "attention_norm", c.dim, 1, 0.1f);
    make.matrix(at + "q", q, c.dim, 1.6f * by_dim);
    make.matrix(at + "k", kv, c.dim, 1.6f * by_dim);
    make.matrix(at + "v", kv, c.dim, by_dim);
    make.matrix(at + "o", c.dim, q, by_q);
    if (c.architecture == "qwen2" || checkpoint.attention_bias) {
      make.vector(at + "q_bias", q, 0, 0.5f);
      make.vector(at + "k_bias", kv, 0, 0.5f);
      make.vector(at + "v_bias", kv, 0, 0.3f);
    }
    if (checkpoint.attention_bias) make.vector(at + "o_bias", c.dim, 0, 0.3f);
    if (c.architecture == "qwen3" || c.architecture == "qwen3moe" || c.architecture == "gemma3") {
      make.vector(at + "q_norm", c.head_dim, 1.5f, 0.2f);
      make.vector(at + "k_norm", c.head_dim, 1.5f, 0.2f);
    }
    if (is_gemma(c)) make.vector(at + "attention_post_norm", c.dim, 1, 0.1f);
    make.vector(at + "mlp_norm", c.dim, 1, 0.1f);
    if (is_gemma(c)) make.vector(at + "mlp_post_norm", c.dim, 1, 0.1f);
    if (c.experts > 0) {
      make.experts(at, c);
      continue;
    }
    make.matrix(at + "gate", ffn, c.dim, 1.5f * by_dim);
    make.matrix(at + "up", ffn, c.dim, 1.5f * by_dim);
    make.matrix(at + "down", c.dim, ffn, by_ffn);
  }
  return make.take();
}

TinyVocabulary tiny_vocabulary(int64_t size) {
  HALFTONE_CHECK(size >= 259);
  TinyVocabulary vocabulary;
  vocabulary.pieces = {"<|endoftext|>", "<|im_start|>", "<|im_end|>"};
  for (int byte = 0; byte < 256; ++byte) vocabulary.pieces.push_back(byte_letter(byte));
  auto merge = [&](const std::string& left, const std::string& right) {
    if (static_cast<int64_t>(vocabulary.pieces.size()) >= size) return;
    vocabulary.merges.emplace_back(left, right);
    vocabulary.pieces.push_back(left + right);
  };
  const std::string_view letters = "etaoinshrdlu";
  for (char first : letters) merge(byte_letter(' '), std::string(1, first));
  for (char first : letters) {
    for (char second : letters) merge(std::string(1, first), std::string(1, second));
  }
  vocabulary.used = static_cast<int64_t>(vocabulary.pieces.size());
  for (int64_t id = vocabulary.used; id < size; ++id) vocabulary.pieces.push_back("[unused" + std::to_string(id) + "]");
  return vocabulary;
}

std::string tiny_chat_template() {
  return "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + "
         "'\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";
}

}  // namespace halftone
