#include "server/model/families/families.h"

namespace halftone {

// A Llama block with biases on q, k and v.
constexpr Family kFamilyQwen2{
    .architecture = "qwen2", .models = "Qwen 2 and 2.5", .qkv_bias = Part::kMust, .sliding_window = true};

const Family& qwen2_family() { return kFamilyQwen2; }

}  // namespace halftone
