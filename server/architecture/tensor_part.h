// What a tensor is in its model, and what a recipe may say about it. A table; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace halftone {

// kRouter is none that a recipe may name: routers stay as exact as the device can hold them.
enum class TensorClass : uint8_t { kEmbedding, kAttention, kMlp, kHead, kRouter };

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
  kAttentionPostNorm,  // of what attention adds to the residual stream
  kMlpNorm,
  kGate,
  kUp,
  kDown,
  kMlpPostNorm,
  kRouter,      // [experts, dim]: how much each expert is wanted
  kExpertGate,  // of each expert
  kExpertUp,
  kExpertDown,
};
inline constexpr size_t kTensorParts = static_cast<size_t>(TensorPart::kExpertDown) + 1;

// How a tensor is called inside its layer ("q"), here and in both kinds of files. * stands for the number of an expert;
// where a file has none, its tensor holds all experts, one below the other.
struct TensorSpelling {
  TensorPart part;
  std::string_view name;         // canonical
  std::string_view huggingface;  // empty: not in such files
  std::string_view gguf;
};

// As Llama's checkpoints spell it. A family lists what it spells otherwise (family.h).
const TensorSpelling& llama_spelling(TensorPart part);

}  // namespace halftone
