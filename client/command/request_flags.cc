#include "client/command/request_flags.h"

#include <CLI/CLI.hpp>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace halftone {
namespace {

absl::Status add_bias(const std::string& text, v1::Sampling& sampling) {
  const size_t equals = text.find('=');
  uint32_t id = 0;
  float bias = 0;
  if (equals == std::string::npos || !absl::SimpleAtoi(text.substr(0, equals), &id) ||
      !absl::SimpleAtof(text.substr(equals + 1), &bias)) {
    return absl::InvalidArgumentError(absl::StrCat("--bias ", text, " is not ID=VALUE, such as 42=-5"));
  }
  v1::TokenBias* entry = sampling.add_logit_bias();
  entry->set_id(id);
  entry->set_bias(bias);
  return absl::OkStatus();
}

}  // namespace

void RequestFlags::add_common(CLI::App& app) {
  app.add_option("--mode", mode, "Compression mode; the server's first one where not given");
  app.add_option("--max-tokens", max_tokens, "Tokens of the answer at most");
  app.add_option("--temperature", temperature, "0: always the most probable token");
  app.add_option("--top-p", top_p, "Draw from the most probable tokens that together have this probability");
  app.add_option("--top-k", top_k, "Draw from so many tokens; 0: all");
  app.add_option("--min-p", min_p, "Draw from tokens at least so probable, relative to the best, after temperature");
  app.add_option("--repetition-penalty", repetition_penalty, "Above 1: against tokens of prompt and answer");
  app.add_option("--presence-penalty", presence_penalty, "Against tokens that the answer already has");
  app.add_option("--frequency-penalty", frequency_penalty, "... each time that it has them");
  app.add_option("--seed", seed, "The same seed gives the same text");
  app.add_option("--stop", stop, "End before this text; may be given several times")->expected(1)->take_all();
  app.add_option("--stop-id", stop_ids, "End at this token id; several times")->expected(1)->take_all();
  app.add_option("--min-tokens", min_tokens, "Tokens of the answer at least");
  app.add_flag("--ignore-eos", ignore_eos, "Go on where the model would end");
  app.add_option("--max-seconds", max_seconds, "End after this time with the text so far");
}

void RequestFlags::add_rest(CLI::App& app) {
  app.add_option("--bias", bias, "ID=VALUE is added to the logit of a token; several times")->expected(1)->take_all();
  app.add_option("--logprobs", logprobs, "Show each token's log-probability and the N best");
  app.add_option("--prompt-logprobs", prompt_logprobs, "The same of the prompt");
  app.add_option("--priority", priority, "Higher runs earlier: a point counts as arriving 0.1 seconds earlier");
  app.add_option("--max-queue-seconds", max_queue_seconds, "Fail when the queue takes longer");
  app.add_option("--cache-salt", cache_salt,
                 "Share cached prompts only with requests of the same salt; the receipt then says how much was cached");
  app.add_option("--request-id", request_id, "A name for this request");
}

absl::StatusOr<v1::GenerateRequest> RequestFlags::request() const {
  v1::GenerateRequest out;
  out.set_mode(mode);
  out.set_request_id(request_id);
  v1::Sampling& sampling = *out.mutable_sampling();
  if (temperature) sampling.set_temperature(*temperature);
  if (top_p) sampling.set_top_p(*top_p);
  if (top_k) sampling.set_top_k(*top_k);
  if (min_p) sampling.set_min_p(*min_p);
  if (repetition_penalty) sampling.set_repetition_penalty(*repetition_penalty);
  if (presence_penalty) sampling.set_presence_penalty(*presence_penalty);
  if (frequency_penalty) sampling.set_frequency_penalty(*frequency_penalty);
  if (seed) sampling.set_seed(*seed);
  for (const std::string& entry : bias) {
    if (absl::Status status = add_bias(entry, sampling); !status.ok()) return status;
  }
  v1::Stopping& stopping = *out.mutable_stopping();
  if (max_tokens) stopping.set_max_new_tokens(*max_tokens);
  if (min_tokens) stopping.set_min_new_tokens(*min_tokens);
  for (const std::string& text : stop) stopping.add_stop(text);
  for (uint32_t id : stop_ids) stopping.add_stop_token_ids(id);
  stopping.set_ignore_eos(ignore_eos);
  if (max_seconds) stopping.set_max_seconds(*max_seconds);
  out.mutable_output()->set_logprobs(logprobs);
  out.mutable_output()->set_prompt_logprobs(prompt_logprobs);
  out.mutable_output()->set_receipt(true);
  out.mutable_scheduling()->set_priority(priority);
  if (max_queue_seconds) out.mutable_scheduling()->set_max_queue_seconds(*max_queue_seconds);
  out.mutable_scheduling()->set_cache_salt(cache_salt);
  return out;
}

std::string receipt_line(const v1::Receipt& receipt) {
  const double seconds = receipt.queue_seconds() + receipt.prefill_seconds() + receipt.decode_seconds();
  std::string line = absl::StrFormat("%d prompt tokens", receipt.prompt_tokens());
  if (receipt.cached_tokens() > 0) absl::StrAppendFormat(&line, " (%d cached)", receipt.cached_tokens());
  absl::StrAppendFormat(&line, ", %d generated in %.2f s: first after %.2f s", receipt.generated_tokens(), seconds,
                        receipt.ttft_seconds());
  if (receipt.tpot_seconds() > 0) absl::StrAppendFormat(&line, ", then %.1f tokens/s", 1 / receipt.tpot_seconds());
  absl::StrAppendFormat(&line, "; %.2f MiB of KV cache", static_cast<double>(receipt.peak_kv_bytes()) / (1 << 20));
  if (receipt.preemptions() > 0) absl::StrAppendFormat(&line, "; put back %d times", receipt.preemptions());
  return line;
}

}  // namespace halftone
