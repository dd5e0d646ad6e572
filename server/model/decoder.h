// The one description of a decoder that the transformer runs: a Llama block with the few switches in which the families
// differ. To add a family: docs/ADD_A_MODEL.md.
#pragma once

#include <span>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/source/model_source.h"

namespace halftone {

struct Decoder {
  ModelConfig config;
  bool qkv_bias = false;
  bool o_bias = false;
  bool qk_norm = false;
};

// What a family says about a part of its layers; every layer has it or none does.
enum class Part { kNever, kMay, kMust };

// A family of checkpoints that share an architecture name.
struct Family {
  std::string_view architecture;  // as config.json's model_type or GGUF's general.architecture spells it
  std::string_view models;        // what it covers, for people
  Part qkv_bias = Part::kNever;   // q_bias, k_bias and v_bias
  Part o_bias = Part::kNever;     // on the output of attention
  Part qk_norm = Part::kNever;    // q_norm and k_norm
  bool sliding_window = false;    // config.sliding_window counts
};

std::span<const Family* const> all_families();

// Checks that every tensor is there with the right shape, and no tensor that the family does not use. UNIMPLEMENTED
// names an unknown architecture and the known ones, or the tensors that would be ignored; INVALID_ARGUMENT names the
// tensor and what was expected.
absl::StatusOr<Decoder> describe_decoder(const ModelSource& source);

}  // namespace halftone
