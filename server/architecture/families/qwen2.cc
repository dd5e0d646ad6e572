#include "server/architecture/family_list.h"

namespace halftone {

// A Llama block with biases on q, k and v.
constexpr Family kQwen2{.name = "qwen2",
                        .models = "Qwen 2 and 2.5",
                        .huggingface_type = "qwen2",
                        .huggingface_class = "Qwen2ForCausalLM",
                        .qkv_bias = Part::kMust,
                        .read_huggingface = read_qwen_windows,
                        .read_gguf = read_gguf_window};

const Family& qwen2_family() { return kQwen2; }

}  // namespace halftone
