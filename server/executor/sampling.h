// How the next token is chosen, and what is said about it. Plain values, shared by engine and executor.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace halftone {

struct SamplingParams {
  float temperature = 1;  // 0: the most probable token
  float top_p = 1;
  uint32_t top_k = 0;  // 0: off
  float min_p = 0;
  float repetition_penalty = 1;  // sees prompt and output
  float presence_penalty = 0;    // these two see the output
  float frequency_penalty = 0;
  uint64_t seed = 0;  // a draw is keyed by (seed, position): it does not depend on the batch
  std::vector<std::pair<int32_t, float>> logit_bias = {};  // by token id, each at most once

  bool penalizes() const { return repetition_penalty != 1 || presence_penalty != 0 || frequency_penalty != 0; }
};

// How often a token stands in a sequence so far.
struct TokenCount {
  int32_t id = 0;
  bool in_prompt = false;
  int32_t in_output = 0;
};

// Log-probabilities are of the model's raw logits: before bias, penalties and temperature.
struct Candidate {
  int32_t id = 0;
  float logprob = 0;
};

// What one row of logits gave.
struct RowResult {
  int32_t token = -1;          // the chosen id, or the target that was asked about
  float logprob = 0;           // of that token
  uint32_t rank = 0;           // 1: no raw logit is greater
  float logsumexp = 0;         // of the raw row
  std::vector<Candidate> top;  // the wanted number of best raw candidates, best first
  bool finite = true;          // false: the row held NaN or infinity; token is then meaningless
};

}  // namespace halftone
