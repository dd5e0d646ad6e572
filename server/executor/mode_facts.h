// What a mode is made of and what it takes of memory: told by the executor, fixed when it is made; shown by metrics and
// by the API.
#pragma once

#include <cstdint>
#include <string>

namespace halftone {

struct ModeFacts {
  std::string id;             // "w4a16+kv8"
  std::string weights;        // of the body: "w4"
  std::string activations;    // "a16"
  std::string kv;             // "kv16", "kv8"
  std::string import;         // "exact" or "requantized"
  std::string source_format;  // of the checkpoint: "gguf/Q4_1"
  std::string kernel;         // "avx2", "emulated", ...
  std::string weights_digest;
  double bits_per_weight = 0;       // scales included, embedding and head included
  uint64_t own_bytes = 0;           // weights that only this mode uses
  uint64_t shared_bytes = 0;        // weights that other modes use too
  uint64_t footprint_bytes = 0;     // what it would need alone: weights, workspace, KV arena
  int64_t page_tokens = 0;          // tokens in one page
  uint64_t page_padding_bytes = 0;  // of one page, unused
  uint64_t kv_bytes_per_token = 0;
  uint64_t kv_capacity_tokens = 0;  // that the arena holds when all of it is this mode's
};

}  // namespace halftone
