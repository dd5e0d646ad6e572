#include "server/architecture/family_list.h"

namespace halftone {
namespace {

// 4096 where the file does not name the window at all; null means none.
void read_huggingface(Hyperparameters& keys, ModelSpec& spec) {
  const int64_t window = keys.integer("sliding_window", keys.named("sliding_window") ? 0 : 4096);
  for (LayerSpec& layer : spec.layers) layer.window = window;
}

}  // namespace

// A Llama block whose tokens see only the last sliding_window positions. In GGUF files such a model is a llama.
constexpr Family kMistral{.name = "mistral",
                          .models = "Mistral",
                          .huggingface_type = "mistral",
                          .huggingface_class = "MistralForCausalLM",
                          .read_huggingface = read_huggingface,
                          .read_gguf = read_gguf_window};

const Family& mistral_family() { return kMistral; }

}  // namespace halftone
