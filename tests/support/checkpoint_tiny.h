// Tiny seeded checkpoints: what stands in one, whichever file it is written into. Tests only; any thread.
// Values depend on the seed and the tensor's name alone: the same TinyCheckpoint as GGUF and as Hugging Face directory
// holds the same model. Attention is lively: scores spread far beyond 1, so that a wrong key changes the logits.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "server/source/model_source.h"

namespace halftone {

// Of "llama", "mistral", "qwen2" (QKV bias) or "qwen3" (QK norm). Change what a test is about, keep the rest.
inline ModelConfig tiny_config(const std::string& architecture = "llama") {
  ModelConfig config;
  config.architecture = architecture;
  config.name = "tiny";
  config.layers = 2;
  config.dim = 64;
  config.heads = 4;
  config.kv_heads = 2;
  config.head_dim = 16;
  config.ffn = 96;
  config.vocabulary = 320;
  config.context = 512;
  config.tied_head = true;
  return config;
}

struct TinyCheckpoint {
  ModelConfig config = tiny_config();
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
