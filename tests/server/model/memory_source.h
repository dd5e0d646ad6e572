// A checkpoint that lies in memory and may be spoiled before it is loaded. Tests only; any thread.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "server/source/model_source.h"
#include "tests/support/checkpoint_tiny.h"

namespace halftone {

struct MemoryTensor {
  std::string type = "F32";
  int64_t rows = 1, cols = 1;
  std::vector<float> values;       // [rows, cols]
  std::optional<AffineGrid> grid;  // then these, too
  WeightRows groups;
  bool readable = true;  // false: reading it is an error
};

using MemoryTensors = std::map<std::string, MemoryTensor>;

// As tiny_tensors() makes them, by canonical name.
MemoryTensors memory_tensors(const TinyCheckpoint& checkpoint);

// Nothing is checked: a source may lack tensors or have odd ones.
ModelSource memory_source(const ModelSpec& spec, MemoryTensors tensors);

inline ModelSource memory_source(const TinyConfig& config, MemoryTensors tensors) {
  TinyCheckpoint tiny;
  tiny.config = config;
  return memory_source(tiny_spec(tiny), std::move(tensors));
}

inline ModelSource tiny_source(const TinyCheckpoint& checkpoint = {}) {
  return memory_source(tiny_spec(checkpoint), memory_tensors(checkpoint));
}

}  // namespace halftone
