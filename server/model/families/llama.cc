#include "server/model/families/families.h"

namespace halftone {

// The plain block: RMSNorm, rotate-half RoPE (scaled in Llama 3.1 and later), grouped-query attention, SwiGLU. Some
// have biases on their attention's products.
constexpr Family kFamilyLlama{.architecture = "llama",
                              .models = "Llama 1, 2 and 3, SmolLM2, TinyLlama",
                              .qkv_bias = Part::kMay,
                              .o_bias = Part::kMay};

const Family& llama_family() { return kFamilyLlama; }

}  // namespace halftone
