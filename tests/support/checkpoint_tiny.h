// Tiny seeded checkpoints: what stands in one, whichever file it is written into. Tests only; any thread.
// Values depend on the seed and the tensor's name alone: the same TinyCheckpoint as GGUF and as Hugging Face directory
// holds the same model. Attention is lively: scores spread far beyond 1, so that a wrong key changes the logits.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "server/source/model_source.h"

namespace halftone {

// What a layer of its own size has.
struct TinyLayer {
  int64_t heads = 4, kv_heads = 2, ffn = 96;
};

// A model of equal layers, unless own_sizes says otherwise. Change what a test is about, keep the rest.
struct TinyConfig {
  std::string architecture = "llama";
  std::string name = "tiny";
  int64_t layers = 2, dim = 64, heads = 4, kv_heads = 2, head_dim = 16, ffn = 96, vocabulary = 320;
  int64_t context = 512;
  float rms_epsilon = 1e-5f;
  float rope_theta = 10000;
  RopeScaling rope_scaling;
  int64_t sliding_window = 0;  // 0: none
  bool tied_head = true;
  int64_t window_pattern = 0;  // gemma3: in every window_pattern-th layer a token sees everything
  int64_t experts = 0, experts_chosen = 0, expert_ffn = 0;  // qwen3moe: of every layer
  std::vector<TinyLayer> own_sizes;                         // one for each layer; empty: all are equal

  TinyLayer layer(int64_t index) const {
    return own_sizes.empty() ? TinyLayer{heads, kv_heads, ffn} : own_sizes[static_cast<size_t>(index)];
  }
  // What every layer has of `size`.
  std::vector<int32_t> by_layer(int64_t TinyLayer::*size) const {
    std::vector<int32_t> all;
    for (int64_t i = 0; i < layers; ++i) all.push_back(static_cast<int32_t>(layer(i).*size));
    return all;
  }
};

// By a family's name. Of "gemma2" and "gemma3" the first layer has a window (and rotates by a base of its own), the
// second sees everything; "qwen3moe" has experts.
inline TinyConfig tiny_config(const std::string& architecture = "llama") {
  TinyConfig config;
  config.architecture = architecture;
  if (architecture == "gemma2") config.sliding_window = 11;
  if (architecture == "gemma3") {
    config.sliding_window = 11;
    config.window_pattern = 2;
    config.rope_theta = 1e6f;
  }
  if (architecture == "qwen3moe") {
    config.experts = 6;
    config.experts_chosen = 2;
    config.expert_ffn = 32;
  }
  return config;
}

inline bool is_gemma(const TinyConfig& config) { return config.architecture.starts_with("gemma"); }

struct TinyCheckpoint {
  TinyConfig config;
  std::string body_type = "F32";       // of the matrices in the layers: F32 F16 BF16, in GGUF also Q4_0 Q4_1 Q8_0
  std::string embedding_type = "F32";  // of embedding and head
  uint64_t seed = 1;
  GenerationDefaults generation;
  bool chat = true;             // with a chatml template
  bool attention_bias = false;  // biases on q, k, v and o (qwen2 has the first three anyway)
};

struct TinyTensor {
  std::string name;  // canonical (model_source.h)
  std::string type;
  int64_t rows = 1, cols = 1;
  bool vector = false;
  std::vector<float> values;  // [rows, cols], q and k in rotate-half order
};

// What a reader makes of its config.json, with the parts that tiny_tensors() has. A mistake in it ends the test.
ModelSpec tiny_spec(const TinyCheckpoint& checkpoint);
// The shape that a spec of equal layers has, for comparisons with a TinyConfig.
TinyConfig tiny_config_of(const ModelSpec& spec);

// In a fixed order. A tied head is not among them; rope_factors neither (the writers know what they do with scaling).
std::vector<TinyTensor> tiny_tensors(const TinyCheckpoint& checkpoint);

// A byte-level vocabulary: <|endoftext|> 0, <|im_start|> 1, <|im_end|> 2 (EOS), the 256 bytes, then merges; pieces
// without a meaning fill up to config.vocabulary, which is at least 259. Pre-tokenizer of GPT-2.
struct TinyVocabulary {
  std::vector<std::string> pieces;
  std::vector<std::pair<std::string, std::string>> merges;
  int64_t used = 0;  // pieces from here on mean nothing
};
TinyVocabulary tiny_vocabulary(int64_t size);

std::string tiny_chat_template();

}  // namespace halftone
