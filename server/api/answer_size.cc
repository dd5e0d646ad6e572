#include "server/api/answer_size.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/api/field_checks.h"
#include "server/api/status_details.h"
#include "server/engine/output_stream.h"

namespace halftone {
namespace {

// On the wire, tags and lengths included, beside the piece: a TokenInfo or ScoredToken, a Candidate, and what stands
// once in an answer (mode, digest, ids, finish with a stop string, receipt).
constexpr uint64_t kRecordBytes = 36, kCandidateBytes = 20, kOnceBytes = 2048;

uint64_t record_bytes(uint32_t top, const Tokenizer& tokenizer) {
  return kRecordBytes + top * kCandidateBytes + tokenizer.bytes_of_longest(top);
}

uint64_t prompt_records(const Request& request, size_t first, uint32_t top, const Tokenizer& tokenizer) {
  uint64_t bytes = 0;
  for (size_t i = first; i < request.prompt.size(); ++i) bytes += tokenizer.piece(request.prompt[i]).size();
  return bytes + (request.prompt.size() - std::min(first, request.prompt.size())) * record_bytes(top, tokenizer);
}

// Of Generate, where they are asked for.
uint64_t prompt_answer(const Request& request, const RequestRules& rules) {
  return request.prompt_logprobs > 0 ? prompt_records(request, 0, request.prompt_logprobs, rules.tokenizer) : 0;
}

uint64_t most_new_tokens(const Request& request, const RequestRules& rules) {
  const uint64_t room =
      rules.limits.max_context_tokens - std::min<uint64_t>(rules.limits.max_context_tokens, request.prompt.size());
  return std::min<uint64_t>(request.max_new_tokens, room);
}

uint64_t bytes_per_new_token(const Request& request, const RequestRules& rules) {
  return record_bytes(request.logprobs, rules.tokenizer) + rules.tokenizer.bytes_of_longest(1) +
         rules.tokenizer.most_text_bytes_per_token();
}

struct Advice {
  absl::string_view field;
  std::string text;
};

Advice advice(const Request& request, const RequestRules& rules) {
  const uint64_t limit = rules.limits.max_response_bytes - std::min(rules.limits.max_response_bytes, kOnceBytes);
  if (request.kind == Request::Kind::kScore) {
    const uint64_t each = record_bytes(request.score_top, rules.tokenizer) + rules.tokenizer.bytes_of_longest(1);
    return {"top_n", absl::StrCat(request.prompt.size() - request.first_scored,
                                  " scored tokens with top_n = ", request.score_top, "; about ", limit / each,
                                  " tokens fit: ask for a smaller top_n, or score in parts, each with the text before "
                                  "it and first_scored")};
  }
  const uint64_t prompt = prompt_answer(request, rules);
  const uint64_t left = limit - std::min(limit, prompt);
  return {request.prompt_logprobs > 0 ? "output.prompt_logprobs" : "stopping.max_new_tokens",
          absl::StrCat(request.prompt.size(), " prompt tokens with prompt_logprobs = ", request.prompt_logprobs,
                       " and ", most_new_tokens(request, rules), " new ones with logprobs = ", request.logprobs,
                       "; about ", left / bytes_per_new_token(request, rules),
                       " new tokens fit: ask for less, or call GenerateStream, which has no such limit")};
}

}  // namespace

uint64_t prompt_record_bytes(const Request& request) {
  if (request.prompt_logprobs == 0) return 0;
  return request.prompt.size() * (sizeof(TokenRecord) + request.prompt_logprobs * sizeof(Candidate));
}

uint64_t most_answer_bytes(const Request& request, const RequestRules& rules) {
  if (request.kind == Request::Kind::kScore) {
    return kOnceBytes + prompt_records(request, request.first_scored, request.score_top, rules.tokenizer);
  }
  return kOnceBytes + prompt_answer(request, rules) +
         most_new_tokens(request, rules) * bytes_per_new_token(request, rules);
}

absl::Status check_answer_fits(const Request& request, const RequestRules& rules) {
  const uint64_t most = most_answer_bytes(request, rules);
  if (most <= rules.limits.max_response_bytes) return absl::OkStatus();
  const Advice what = advice(request, rules);
  FieldChecks checks;
  checks.violate(what.field, absl::StrCat("the answer may have ", most, " bytes, max_response_bytes is ",
                                          rules.limits.max_response_bytes, ": ", what.text));
  absl::Status status = checks.status();
  set_reason(status, "ANSWER_TOO_LARGE", {{"max_response_bytes", absl::StrCat(rules.limits.max_response_bytes)}});
  return status;
}

}  // namespace halftone
