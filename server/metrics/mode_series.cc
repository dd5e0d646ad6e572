#include "server/metrics/mode_series.h"

#include "server/metrics/buckets.h"
#include "server/metrics/labels.h"

namespace halftone {
namespace {

using prometheus::Labels;

constexpr const char* kPhases[] = {"prefill", "decode", "mixed"};  // by StepPhase

prometheus::Histogram* histogram(const SeriesPlace& place, const char* name, const char* help, const Labels& labels,
                                 const Buckets& buckets) {
  auto& family =
      prometheus::BuildHistogram().Name(name).Help(help).Labels({{"model", place.model}}).Register(place.registry);
  return &family.Add(labels, buckets);
}

void make_latency(const SeriesPlace& place, const Labels& mode, ModeMetrics& out) {
  out.time_to_first_token = histogram(place, "llm_time_to_first_token_seconds",
                                      "From a request's arrival to its first token.", mode, first_token_buckets());
  out.inter_token_latency =
      histogram(place, "llm_inter_token_latency_seconds", "Between two tokens of one stream.", mode, token_buckets());
  out.time_per_output_token = histogram(
      place, "llm_time_per_output_token_seconds",
      "Of one request: time after its first token, divided by the tokens that came after it.", mode, token_buckets());
  out.request_queue = histogram(place, "llm_request_queue_seconds", "From a request's arrival to its first step.", mode,
                                queue_buckets());
  out.request_prefill = histogram(place, "llm_request_prefill_seconds",
                                  "From a request's first step to its first token.", mode, request_buckets());
  out.request_decode = histogram(place, "llm_request_decode_seconds", "From a request's first token to its last.", mode,
                                 request_buckets());
  out.interference = counter(place, "llm_interference_seconds_total",
                             "Time that streams of this mode waited for steps of other modes.", mode);
}

void make_requests(const SeriesPlace& place, const Labels& mode, ModeMetrics& out) {
  out.request_prompt_tokens =
      histogram(place, "llm_request_prompt_tokens", "Prompt tokens of a request.", mode, token_count_buckets());
  out.request_generated_tokens =
      histogram(place, "llm_request_generated_tokens", "Generated tokens of a request.", mode, token_count_buckets());
  out.request_peak_kv_bytes = histogram(
      place, "llm_request_peak_kv_bytes",
      "The most bytes of keys and values that a request held at once, shared pages included.", mode, kv_byte_buckets());
  out.requests_running = gauge(place, "llm_requests_running", "Requests that hold pages.", mode);
  out.requests_waiting = gauge(place, "llm_requests_waiting", "Requests in the queue.", mode);
  out.waiting_tokens = gauge(place, "llm_waiting_tokens", "Prompt tokens of requests in the queue.", mode);
  out.preemptions =
      counter(place, "llm_preemptions_total", "Times that a running request lost its pages to others.", mode);
}

void make_tokens(const SeriesPlace& place, const Labels& mode, ModeMetrics& out) {
  const auto prompt = [&](const char* source) {
    Labels labels = mode;
    labels["source"] = source;
    return counter(place, "llm_prompt_tokens_total",
                   "Prompt tokens of requests, computed or found in the prefix cache.", labels);
  };
  out.prompt_tokens_computed = prompt("computed");
  out.prompt_tokens_cached = prompt("cached");
  out.generated_tokens = counter(place, "llm_generated_tokens_total", "Tokens generated.", mode);
  out.recomputed_tokens = counter(place, "llm_recomputed_tokens_total",
                                  "Tokens computed again because their request had lost its pages.", mode);
  out.prefix_queried_tokens = counter(place, "llm_prefix_cache_queried_tokens_total",
                                      "Prompt tokens looked up in the prefix cache, once per request.", mode);
  out.prefix_hit_tokens = counter(place, "llm_prefix_cache_hit_tokens_total",
                                  "Prompt tokens found in the prefix cache, once per request.", mode);
  out.nonfinite_rows = counter(place, "llm_nonfinite_logits_total", "Rows of logits that held NaN or infinity.", mode);
}

void make_steps(const SeriesPlace& place, const Labels& mode, ModeMetrics& out) {
  for (size_t phase = 0; phase < std::size(kPhases); ++phase) {
    Labels labels = mode;
    labels["phase"] = kPhases[phase];
    out.step[phase] =
        histogram(place, "llm_step_seconds", "Device time of one step of this mode alone.", labels, step_buckets());
    out.flops[phase] = counter(place, "llm_flops_total",
                               "Floating-point or integer operations of the model; a multiply-add counts two.", labels);
    out.moved_bytes[phase] =
        counter(place, "llm_moved_bytes_total",
                "Bytes of weights, keys, values and activations that steps had to read or write.", labels);
    out.floor[phase] = counter(place, "llm_floor_seconds_total",
                               "The least time that the steps could take at the speeds measured at start-up.", labels);
  }
  out.step_tokens = histogram(place, "llm_step_tokens", "New tokens in one step.", mode, step_token_buckets());
  out.batch_size = histogram(place, "llm_batch_size", "Sequences in one step.", mode, batch_buckets());
}

}  // namespace

prometheus::Counter* counter(const SeriesPlace& place, const char* name, const char* help, const Labels& labels) {
  auto& family =
      prometheus::BuildCounter().Name(name).Help(help).Labels({{"model", place.model}}).Register(place.registry);
  return &family.Add(labels);
}

prometheus::Gauge* gauge(const SeriesPlace& place, const char* name, const char* help, const Labels& labels) {
  auto& family =
      prometheus::BuildGauge().Name(name).Help(help).Labels({{"model", place.model}}).Register(place.registry);
  return &family.Add(labels);
}

ModeMetrics make_mode_series(const SeriesPlace& place, const std::string& mode) {
  const Labels labels = {{"mode", label_text(mode)}};
  ModeMetrics out;
  make_latency(place, labels, out);
  make_requests(place, labels, out);
  make_tokens(place, labels, out);
  make_steps(place, labels, out);
  return out;
}

void publish_facts(const SeriesPlace& place, const ModeFacts& facts) {
  const std::string mode = label_text(facts.id);
  const auto set = [&](const char* name, const char* help, double value) {
    gauge(place, name, help, {{"mode", mode}})->Set(value);
  };
  set("llm_weight_bitwidth", "Mean bits per weight: scales, embedding and head included.", facts.bits_per_weight);
  set("llm_mode_footprint_bytes", "What this mode would need alone: weights, workspace and the arena of pages.",
      static_cast<double>(facts.footprint_bytes));
  set("llm_kv_bytes_per_token", "Bytes of keys and values of one token, scales included.",
      static_cast<double>(facts.kv_bytes_per_token));
  set("llm_kv_capacity_tokens", "Tokens that the arena holds when all of it is this mode's.",
      static_cast<double>(facts.kv_capacity_tokens));
  set("llm_kv_page_padding_bytes", "Unused bytes of one page of this mode.",
      static_cast<double>(facts.page_padding_bytes));
  const auto weights = [&](const char* sharing, uint64_t bytes) {
    gauge(place, "llm_mode_weights_bytes", "Weights of this mode: its own, and those that other modes use too.",
          {{"mode", mode}, {"sharing", sharing}})
        ->Set(static_cast<double>(bytes));
  };
  weights("own", facts.own_bytes);
  weights("shared", facts.shared_bytes);
  gauge(place, "llm_mode_info", "What this mode is made of. Always 1.",
        {{"mode", mode},
         {"weight_format", label_text(facts.weights)},
         {"activation_format", label_text(facts.activations)},
         {"kv_format", label_text(facts.kv)},
         {"import", label_text(facts.import)},
         {"source_format", label_text(facts.source_format)},
         {"kernel", label_text(facts.kernel)},
         {"weights_digest", label_text(facts.weights_digest)}})
      ->Set(1);
}

}  // namespace halftone
