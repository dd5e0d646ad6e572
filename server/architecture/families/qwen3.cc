#include "server/architecture/family_list.h"

namespace halftone {

// A Llama block whose query and key heads are RMS-normalized before RoPE; with or without biases in attention.
constexpr Family kQwen3{.name = "qwen3",
                        .models = "Qwen 3",
                        .huggingface_type = "qwen3",
                        .huggingface_class = "Qwen3ForCausalLM",
                        .qkv_bias = Part::kMay,
                        .o_bias = Part::kMay,
                        .qk_norm = Part::kMust,
                        .usual_head_dim = 128,
                        .says_attention_bias = true,
                        .read_huggingface = read_qwen_windows,
                        .read_gguf = read_gguf_window};

const Family& qwen3_family() { return kQwen3; }

}  // namespace halftone
