#include "server/api/validate.h"

#include <limits>
#include <random>
#include <unordered_set>

#include "server/api/field_checks.h"
#include "server/api/prompt.h"
#include "server/api/status_details.h"
#include "server/durations.h"

namespace halftone {
namespace {

uint64_t random_seed() {
  std::random_device source;
  return (static_cast<uint64_t>(source()) << 32) | source();
}

std::string random_id() { return absl::StrCat(absl::Hex(random_seed(), absl::kZeroPad16)); }

void read_biases(const v1::Sampling& wire, const RequestRules& rules, FieldChecks& checks, SamplingParams& out) {
  constexpr absl::string_view kField = "sampling.logit_bias";
  checks.at_most(kField, "entries", static_cast<uint64_t>(wire.logit_bias_size()), rules.limits.max_logit_bias);
  if (!checks.ok()) return;
  std::unordered_set<uint32_t> seen;
  for (int i = 0; i < wire.logit_bias_size(); ++i) {
    const v1::TokenBias& bias = wire.logit_bias(i);
    const std::string name = absl::StrCat(kField, "[", i, "]");
    if (static_cast<int64_t>(bias.id()) >= rules.vocabulary) {
      checks.violate(name + ".id", absl::StrCat(name, ".id = ", bias.id(), " is outside the vocabulary of ",
                                                rules.vocabulary, " tokens"));
    } else if (!seen.insert(bias.id()).second) {
      checks.violate(name + ".id", absl::StrCat(name, ".id = ", bias.id(), " stands there twice"));
    }
    checks.in_range(name + ".bias", bias.bias(), ranges::kBias);
    out.logit_bias.emplace_back(static_cast<int32_t>(bias.id()), bias.bias());
  }
}

SamplingParams read_sampling(const v1::Sampling& wire, const RequestRules& rules, FieldChecks& checks) {
  SamplingParams out = rules.defaults.sampling;
  if (wire.has_temperature()) out.temperature = wire.temperature();
  if (wire.has_top_p()) out.top_p = wire.top_p();
  if (wire.has_top_k()) out.top_k = wire.top_k();
  if (wire.has_min_p()) out.min_p = wire.min_p();
  if (wire.has_repetition_penalty()) out.repetition_penalty = wire.repetition_penalty();
  if (wire.has_presence_penalty()) out.presence_penalty = wire.presence_penalty();
  if (wire.has_frequency_penalty()) out.frequency_penalty = wire.frequency_penalty();
  out.seed = wire.has_seed() ? wire.seed() : random_seed();
  checks.in_range("sampling.temperature", out.temperature, ranges::kTemperature);
  checks.in_range("sampling.top_p", out.top_p, ranges::kTopP);
  checks.in_range("sampling.min_p", out.min_p, ranges::kMinP);
  checks.in_range("sampling.repetition_penalty", out.repetition_penalty, ranges::kRepetition);
  checks.in_range("sampling.presence_penalty", out.presence_penalty, ranges::kPenalty);
  checks.in_range("sampling.frequency_penalty", out.frequency_penalty, ranges::kPenalty);
  read_biases(wire, rules, checks, out);
  return out;
}

void read_stop_strings(const v1::Stopping& wire, const RequestRules& rules, FieldChecks& checks, Request& out) {
  const Limits& limits = rules.limits;
  checks.at_most("stopping.stop", "entries", static_cast<uint64_t>(wire.stop_size()), limits.max_stop_strings);
  if (!checks.ok()) return;
  for (int i = 0; i < wire.stop_size(); ++i) {
    const std::string name = absl::StrCat("stopping.stop[", i, "]");
    if (wire.stop(i).empty()) checks.violate(name, name + " is empty");
    checks.at_most(name, "bytes", wire.stop(i).size(), limits.max_stop_bytes);
    out.stop.push_back(wire.stop(i));
    // A special token has no text in the answer, so its text would never be seen there.
    const std::optional<TokenId> token = rules.tokenizer.find(wire.stop(i));
    if (token && rules.tokenizer.is_special(*token) && *token < rules.vocabulary) out.stop_token_ids.push_back(*token);
  }
}

void read_stopping(const v1::Stopping& wire, const RequestRules& rules, FieldChecks& checks, Request& out) {
  out.max_new_tokens_given = wire.has_max_new_tokens();
  out.max_new_tokens = out.max_new_tokens_given ? wire.max_new_tokens() : rules.defaults.max_new_tokens;
  out.min_new_tokens = wire.min_new_tokens();
  out.ignore_eos = wire.ignore_eos();
  if (out.max_new_tokens == 0) checks.violate("stopping.max_new_tokens", "stopping.max_new_tokens = 0 is below 1");
  if (out.min_new_tokens > out.max_new_tokens) {
    checks.violate("stopping.min_new_tokens", absl::StrCat("stopping.min_new_tokens = ", out.min_new_tokens,
                                                           " is above max_new_tokens = ", out.max_new_tokens,
                                                           out.max_new_tokens_given ? "" : ", the default"));
  }
  checks.at_most("stopping.stop_token_ids", "entries", static_cast<uint64_t>(wire.stop_token_ids_size()),
                 rules.limits.max_stop_token_ids);
  check_ids("stopping.stop_token_ids", wire.stop_token_ids(), rules.vocabulary, checks);
  out.stop_token_ids.assign(wire.stop_token_ids().begin(), wire.stop_token_ids().end());
  read_stop_strings(wire, rules, checks, out);
  if (wire.has_max_seconds()) {
    checks.in_range("stopping.max_seconds", wire.max_seconds(), ranges::kSeconds);
    if (checks.ok()) out.max_time = saturated_nanoseconds(wire.max_seconds());
  }
}

void read_output(const v1::Output& wire, const RequestRules& rules, FieldChecks& checks, Request& out) {
  const NumberRange range{0, static_cast<double>(rules.limits.max_logprobs)};
  checks.in_range("output.logprobs", wire.logprobs(), range);
  checks.in_range("output.prompt_logprobs", wire.prompt_logprobs(), range);
  out.logprobs = wire.logprobs();
  out.prompt_logprobs = wire.prompt_logprobs();
}

void read_scheduling(const v1::Scheduling& wire, const RequestRules& rules, FieldChecks& checks, Request& out) {
  checks.in_range("scheduling.priority", wire.priority(), ranges::kPriority);
  out.priority = wire.priority();
  if (wire.has_max_queue_seconds()) {
    checks.in_range("scheduling.max_queue_seconds", wire.max_queue_seconds(), ranges::kSeconds);
    if (checks.ok()) out.max_queue_time = saturated_nanoseconds(wire.max_queue_seconds());
  }
  checks.at_most("scheduling.cache_salt", "bytes", wire.cache_salt().size(), rules.limits.max_cache_salt_bytes);
  out.cache_salt = wire.cache_salt();
}

void read_id(const std::string& id, const RequestRules& rules, FieldChecks& checks, Request& out) {
  checks.at_most("request_id", "bytes", id.size(), rules.limits.max_request_id_bytes);
  for (char c : id) {
    if (c >= ' ' && c <= '~') continue;
    checks.violate("request_id", absl::StrCat("request_id has the byte 0x", absl::Hex(static_cast<unsigned char>(c)),
                                              ", which is not printable ASCII"));
    break;
  }
  out.id = id.empty() ? random_id() : id;
}

// A given max_new_tokens is a promise to be kept whole; an unset one runs until the context ends.
absl::Status check_total(const Request& request, const Limits& limits) {
  const uint64_t total = request.prompt.size() + static_cast<uint64_t>(request.max_new_tokens);
  if (!request.max_new_tokens_given || total <= limits.max_context_tokens) return absl::OkStatus();
  absl::Status status = absl::OutOfRangeError(absl::StrCat(
      "the prompt has ", request.prompt.size(), " tokens and stopping.max_new_tokens = ", request.max_new_tokens,
      ": together ", total, ", the context is ", limits.max_context_tokens));
  set_reason(status, "CONTEXT_EXCEEDED",
             {{"prompt_tokens", absl::StrCat(request.prompt.size())},
              {"max_new_tokens", absl::StrCat(request.max_new_tokens)},
              {"max_context_tokens", absl::StrCat(limits.max_context_tokens)}});
  return status;
}

}  // namespace

absl::StatusOr<ModeIndex> find_mode(const std::string& id, const RequestRules& rules) {
  if (id.empty()) return 0;
  std::string known;
  for (size_t i = 0; i < rules.modes.size(); ++i) {
    if (rules.modes[i].id == id) return static_cast<ModeIndex>(i);
    absl::StrAppend(&known, i == 0 ? "" : ", ", rules.modes[i].id);
  }
  absl::Status status =
      absl::NotFoundError(absl::StrCat("there is no mode \"", shortened(id, 64), "\"; the modes are ", known,
                                       "; a server serves those that it was started with (--modes)"));
  set_reason(status, "UNKNOWN_MODE", {{"modes", known}});
  return status;
}

absl::StatusOr<Request> make_generate_request(const v1::GenerateRequest& wire, const RequestRules& rules,
                                              const CallTimes& times) {
  FieldChecks checks;
  checks.no_unknown_fields(wire);
  if (!checks.ok()) return checks.status();
  auto mode = find_mode(wire.mode(), rules);
  if (!mode.ok()) return mode.status();
  Request out;
  out.mode = *mode;
  out.deadline = times.deadline;
  out.sampling = read_sampling(wire.sampling(), rules, checks);
  read_stopping(wire.stopping(), rules, checks, out);
  read_output(wire.output(), rules, checks, out);
  read_scheduling(wire.scheduling(), rules, checks, out);
  read_id(wire.request_id(), rules, checks, out);
  if (!checks.ok()) return checks.status();
  auto prompt = encode_prompt(wire, rules, times.over);
  if (!prompt.ok()) return prompt.status();
  out.prompt = *std::move(prompt);
  if (wire.has_chat()) stop_at_end_of_turn(rules, out);
  if (absl::Status status = check_total(out, rules.limits); !status.ok()) return status;
  return out;
}

absl::StatusOr<Request> make_score_request(const v1::ScoreRequest& wire, const RequestRules& rules,
                                           const CallTimes& times) {
  FieldChecks checks;
  checks.no_unknown_fields(wire);
  if (!checks.ok()) return checks.status();
  auto mode = find_mode(wire.mode(), rules);
  if (!mode.ok()) return mode.status();
  Request out;
  out.kind = Request::Kind::kScore;
  out.mode = *mode;
  out.id = random_id();
  out.deadline = times.deadline;
  out.score_top = wire.top_n();
  out.first_scored = wire.has_first_scored() ? wire.first_scored() : 1;
  checks.in_range("top_n", wire.top_n(), NumberRange{0, static_cast<double>(rules.limits.max_logprobs)});
  if (out.first_scored == 0) checks.violate("first_scored", "first_scored = 0 is below 1: nothing precedes token 0");
  if (!checks.ok()) return checks.status();
  auto prompt = encode_prompt(wire, rules, times.over);
  if (!prompt.ok()) return prompt.status();
  out.prompt = *std::move(prompt);
  if (out.first_scored >= out.prompt.size()) {
    checks.violate("first_scored", absl::StrCat("first_scored = ", out.first_scored, " leaves nothing to score of ",
                                                out.prompt.size(), " tokens"));
  }
  if (!checks.ok()) return checks.status();
  return out;
}

}  // namespace halftone
