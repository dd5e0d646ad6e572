// The flags of a GenerateRequest, one for each of its fields. A field is set only where its flag was given.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "halftone/v1/inference.pb.h"

namespace CLI {
class App;
}

namespace halftone {

struct RequestFlags {
  std::string mode, request_id, cache_salt;
  std::optional<float> temperature, top_p, min_p, repetition_penalty, presence_penalty, frequency_penalty;
  std::optional<uint32_t> top_k, max_tokens, min_tokens;
  std::optional<uint64_t> seed;
  std::vector<std::string> bias, stop;
  std::vector<uint32_t> stop_ids;
  bool ignore_eos = false;
  std::optional<double> max_seconds, max_queue_seconds;
  uint32_t logprobs = 0, prompt_logprobs = 0;
  int32_t priority = 0;

  // Sampling and stopping; chat has only these.
  void add_common(CLI::App& app);
  void add_rest(CLI::App& app);
  // Everything but the prompt; the receipt is always asked for. INVALID_ARGUMENT for a bias that is not ID=VALUE.
  absl::StatusOr<v1::GenerateRequest> request() const;
};

// "12 prompt tokens (8 cached), 40 generated in 0.52 s: first after 0.11 s, then 98.2 tokens/s; 1.2 MiB of KV cache"
std::string receipt_line(const v1::Receipt& receipt);

}  // namespace halftone
