// What a client asks for, after it was checked, and the table of limits that it was checked against. Plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "server/executor/sampling.h"
#include "server/scheduler/ids.h"

namespace halftone {

// Everything that bounds a request, in one table; GetServerInfo publishes it.
struct Limits {
  uint32_t max_context_tokens = 0;  // the least of the model's context, --max-context and what the KV pages hold
  uint32_t max_new_tokens = 0;      // the context
  uint32_t max_stop_strings = 16;
  uint32_t max_stop_bytes = 256;  // of one stop string
  uint32_t max_stop_token_ids = 64;
  uint32_t max_logprobs = 20;
  uint32_t max_logit_bias = 512;
  uint64_t max_request_bytes = 4 << 20;
  uint32_t max_request_id_bytes = 128;
  uint32_t max_cache_salt_bytes = 128;
  uint32_t max_queue_requests = 1024;
  uint64_t max_queue_tokens = 1 << 20;
  uint32_t max_chat_messages = 4096;
  uint64_t max_tokenize_bytes = 2 << 20;  // of text, or of a chat when it is rendered
  uint32_t max_detokenize_ids = 1 << 20;
  uint64_t max_response_bytes = 4 << 20;  // of one message: gRPC's clients take no more unless they are told to
  uint32_t max_text_calls = 1024;         // calls whose text is in work, or whose answer is not read yet
  uint64_t max_text_bytes = 256 << 20;    // charged to them together
};

// The server's default for every scalar that a request may leave out.
struct Defaults {
  SamplingParams sampling;
  uint32_t max_new_tokens = 256;
};

struct Request {
  enum class Kind { kGenerate, kScore };

  Kind kind = Kind::kGenerate;
  std::string id;
  ModeIndex mode = 0;
  std::vector<int32_t> prompt;  // not empty
  SamplingParams sampling;
  // Stopping. max_new_tokens: given, or the default with max_new_tokens_given false (then CONTEXT_LIMIT may come
  // first).
  uint32_t max_new_tokens = 256;
  bool max_new_tokens_given = false;
  uint32_t min_new_tokens = 0;
  std::vector<std::string> stop;
  std::vector<int32_t> stop_token_ids;
  bool ignore_eos = false;
  std::optional<Nanoseconds> max_time;  // from arrival; then the text so far and TIME_LIMIT
  // Output.
  uint32_t logprobs = 0;  // 0: off; n: the chosen token and the n best
  uint32_t prompt_logprobs = 0;
  uint32_t score_top = 0;     // kScore: candidates per token
  uint32_t first_scored = 1;  // kScore: tokens before this one get no score; at least 1
  // Scheduling.
  int32_t priority = 0;
  std::optional<Nanoseconds> max_queue_time;  // then DEADLINE_EXCEEDED
  std::optional<Nanoseconds> deadline;        // absolute, on the engine's clock; then DEADLINE_EXCEEDED
  std::string cache_salt;
};

}  // namespace halftone
