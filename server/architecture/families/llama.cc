#include "server/architecture/family_list.h"

namespace halftone {

// The plain block: RMSNorm, rotate-half RoPE (scaled in Llama 3.1 and later), grouped-query attention, SwiGLU. Some
// have biases on their attention's products. llama.cpp stores its q and k with the two halves of a head interleaved.
constexpr Family kLlama{.name = "llama",
                        .models = "Llama 1, 2 and 3, SmolLM2, TinyLlama",
                        .huggingface_type = "llama",
                        .huggingface_class = "LlamaForCausalLM",
                        .qkv_bias = Part::kMay,
                        .o_bias = Part::kMay,
                        .usual_context = 2048,
                        .says_attention_bias = true,
                        .gguf_interleaves = true};

const Family& llama_family() { return kLlama; }

}  // namespace halftone
