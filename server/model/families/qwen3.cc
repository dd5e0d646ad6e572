#include "server/model/families/families.h"

namespace halftone {

// A Llama block whose query and key heads are RMS-normalized before RoPE; with or without biases in attention.
constexpr Family kFamilyQwen3{.architecture = "qwen3",
                              .models = "Qwen 3",
                              .qkv_bias = Part::kMay,
                              .o_bias = Part::kMay,
                              .qk_norm = Part::kMust,
                              .sliding_window = true};

const Family& qwen3_family() { return kFamilyQwen3; }

}  // namespace halftone
