#include "server/model/families/families.h"

namespace halftone {

// The plain block: RMSNorm, rotate-half RoPE (scaled in Llama 3.1 and later), grouped-query attention, SwiGLU.
constexpr Family kFamilyLlama{.architecture = "llama", .models = "Llama 1, 2 and 3, SmolLM2, TinyLlama"};

const Family& llama_family() { return kFamilyLlama; }

}  // namespace halftone
