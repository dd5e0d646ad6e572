// Writes a tiny seeded checkpoint: write_tiny_checkpoint PATH [ARCHITECTURE [BODY_TYPE [SEED]]]
// PATH ending in .gguf becomes a GGUF file, any other a Hugging Face directory.
#include <cstdio>
#include <cstdlib>

#include "tests/support/checkpoint_writer.h"

int main(int argc, char** argv) {
  if (argc < 2 || argc > 5) {
    std::fprintf(stderr, "usage: %s PATH [llama|mistral|qwen2|qwen3 [F32|F16|BF16|Q4_0|Q4_1|Q8_0 [SEED]]]\n", argv[0]);
    return 2;
  }
  const std::string path = argv[1];
  halftone::TinyCheckpoint tiny;
  tiny.config = halftone::tiny_config(argc > 2 ? argv[2] : "llama");
  if (argc > 3) tiny.body_type = argv[3];
  if (argc > 4) tiny.seed = std::strtoull(argv[4], nullptr, 10);
  if (path.ends_with(".gguf")) {
    halftone::write_tiny_gguf(path, tiny);
  } else {
    halftone::write_tiny_huggingface(path, tiny);
  }
}
