// What a tensor is in its model, and what a recipe may say about it. A table; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace halftone {

enum class TensorClass : uint8_t { kEmbedding, kAttention, kMlp, kHead };

// Of the whole model, then of one layer.
enum class TensorPart : uint8_t {
  kEmbedding,
  kHead,
  kFinalNorm,
  kRopeFactors,  // [rotated / 2]: divides each rotation frequency
  kAttentionNorm,
  kQ,
  kK,
  kV,
  kO,
  kQBias,
  kKBias,
  kVBias,
  kOBias,
  kQNorm,
  kKNorm,
  kMlpNorm,
  kGate,
  kUp,
  kDown,
};
inline constexpr size_t kTensorParts = static_cast<size_t>(TensorPart::kDown) + 1;

// How a tensor is called inside its layer ("q"), here and in both kinds of files.
struct TensorSpelling {
  TensorPart part;
  std::string_view name;         // canonical
  std::string_view huggingface;  // empty: not in such files
  std::string_view gguf;
};

// As Llama's checkpoints spell it. A family lists what it spells otherwise (family.h).
const TensorSpelling& llama_spelling(TensorPart part);

}  // namespace halftone
