#include "server/model/families/families.h"

namespace halftone {

// A Llama block whose query and key heads are RMS-normalized before RoPE.
constexpr Family kFamilyQwen3{.architecture = "qwen3", .models = "Qwen 3", .qk_norm = true, .sliding_window = true};

const Family& qwen3_family() { return kFamilyQwen3; }

}  // namespace halftone
