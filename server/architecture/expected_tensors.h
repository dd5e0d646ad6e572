// Which tensors a model has: the one table that readers look tensors up by, that shapes, completeness and leftovers are
// checked by, and that weights are planned by. Pure functions; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "server/architecture/family.h"
#include "server/architecture/model_spec.h"
#include "server/architecture/tensor_part.h"

namespace halftone {

struct ExpectedTensor {
  TensorPart part = TensorPart::kEmbedding;
  int64_t layer = -1;             // -1: of the whole model
  int64_t expert = -1;            // of the layer; -1: of none
  std::string name;               // canonical: "embedding", "layers.3.q"
  int64_t rows = 1, cols = 0;     // a matrix is [outputs, inputs]
  bool vector = false;            // [cols], not [1, cols]
  bool required = true;           // false: a checkpoint may do without
  TensorClass tensor_class = {};  // of a matrix: what a recipe calls it
  std::string huggingface;  // in files; empty: not in such a one. Without the prefix "model.", which may be missing
  std::string gguf;
  int64_t gguf_stacked = 0;      // so many experts are one tensor of a GGUF file, ascending
  float huggingface_offset = 0;  // what Hugging Face's files lack: it is added to each value
  int64_t interleaved_head = 0;  // GGUF: rows (of a vector: elements) lie pairwise interleaved in heads of this size
};

// All that a checkpoint of this spec may hold, in the order in which it is used: embedding, head, final norm, layers.
// rows and cols are those of the model, and so are the rows' places: q and k in rotate-half order (input i pairs with
// i + head_dim / 2), whatever a file does. The head is there, but not required, where it is tied to the embedding.
std::vector<ExpectedTensor> expected_tensors(const Family& family, const ModelSpec& spec);
// The same for a spec whose family is known by its name.
std::vector<ExpectedTensor> expected_tensors(const ModelSpec& spec);

}  // namespace halftone
