// Tiny seeded checkpoints in files that open_model() reads: the models of everybody's tests. Deterministic; any thread.
//
//   TinyCheckpoint tiny;
//   tiny.config.sliding_window = 7;
//   tiny.body_type = "Q4_1";
//   write_tiny_gguf(path, tiny);
#pragma once

#include <string>

#include "tests/support/checkpoint_gguf.h"
#include "tests/support/checkpoint_tiny.h"

namespace halftone {

// The keys and tensors of a tiny model, to be changed before they are written. Llama's (and Mistral's, which GGUF calls
// llama) q and k rows are interleaved as llama.cpp wants them, Llama 3's scaling becomes rope_freqs.weight.
GgufBytes tiny_gguf(const TinyCheckpoint& checkpoint);
GgufBytes tiny_gguf_keys(const TinyCheckpoint& checkpoint);  // without tensors
void add_tiny_tensor(const TinyCheckpoint& checkpoint, const TinyTensor& tensor, GgufBytes& gguf);
// All of a list; the experts of a layer are stacked.
void add_tiny_tensors(const TinyCheckpoint& checkpoint, const std::vector<TinyTensor>& tensors, GgufBytes& gguf);
void write_tiny_gguf(const std::string& path, const TinyCheckpoint& checkpoint);

// Makes the directory with config.json, generation_config.json, tokenizer.json, tokenizer_config.json and
// model.safetensors, or for shards > 1 so many files and their index. body_type and embedding_type: F32, F16 or BF16.
void write_tiny_huggingface(const std::string& directory, const TinyCheckpoint& checkpoint, int shards = 1);

// The name of a canonical tensor in either file: "layers.0.q" is "blk.0.attn_q.weight".
std::string gguf_tensor_name(const std::string& canonical);
std::string huggingface_tensor_name(const std::string& canonical, const std::string& architecture = "llama");

// A directory of the test's own, removed with everything in it at the end.
class TestDirectory {
 public:
  TestDirectory();
  ~TestDirectory();
  TestDirectory(const TestDirectory&) = delete;
  TestDirectory& operator=(const TestDirectory&) = delete;
  const std::string& path() const { return path_; }
  std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace halftone
