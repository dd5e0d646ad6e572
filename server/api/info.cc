#include "server/api/convert.h"
#include "server/api/prompt.h"

namespace halftone {
namespace {

void fill_limits(const RequestRules& rules, v1::Limits* out) {
  const Limits& limits = rules.limits;
  out->set_max_context_tokens(limits.max_context_tokens);
  out->set_max_new_tokens(limits.max_new_tokens);
  out->set_max_stop_strings(limits.max_stop_strings);
  out->set_max_stop_bytes(limits.max_stop_bytes);
  out->set_max_stop_token_ids(limits.max_stop_token_ids);
  out->set_max_logprobs(limits.max_logprobs);
  out->set_max_logit_bias(limits.max_logit_bias);
  out->set_max_request_bytes(limits.max_request_bytes);
  out->set_max_request_id_bytes(limits.max_request_id_bytes);
  out->set_max_cache_salt_bytes(limits.max_cache_salt_bytes);
  out->set_max_queue_requests(limits.max_queue_requests);
  out->set_max_queue_tokens(limits.max_queue_tokens);
  out->set_max_prompt_bytes(max_prompt_bytes(rules));
  out->set_max_chat_messages(limits.max_chat_messages);
  out->set_max_tokenize_bytes(limits.max_tokenize_bytes);
  out->set_max_detokenize_ids(limits.max_detokenize_ids);
  out->set_max_response_bytes(limits.max_response_bytes);
  out->set_max_text_calls(limits.max_text_calls);
  out->set_max_text_bytes(limits.max_text_bytes);
}

// Every scalar that is optional on the wire, and what it is when unset. No seed: it is drawn anew.
void fill_defaults(const Defaults& defaults, const std::string& mode, v1::GenerateRequest* out) {
  const SamplingParams& sampling = defaults.sampling;
  v1::Sampling* wire = out->mutable_sampling();
  wire->set_temperature(sampling.temperature);
  wire->set_top_p(sampling.top_p);
  wire->set_top_k(sampling.top_k);
  wire->set_min_p(sampling.min_p);
  wire->set_repetition_penalty(sampling.repetition_penalty);
  wire->set_presence_penalty(sampling.presence_penalty);
  wire->set_frequency_penalty(sampling.frequency_penalty);
  out->mutable_stopping()->set_max_new_tokens(defaults.max_new_tokens);
  out->mutable_stopping()->set_min_new_tokens(0);
  out->set_mode(mode);
}

void fill_mode(const ModeFacts& facts, v1::Mode* out) {
  out->set_id(facts.id);
  out->set_weights(facts.weights);
  out->set_activations(facts.activations);
  out->set_kv(facts.kv);
  out->set_import(facts.import);
  out->set_kernel(facts.kernel);
  out->set_weights_digest(facts.weights_digest);
  out->set_bits_per_weight(facts.bits_per_weight);
  out->set_own_bytes(facts.own_bytes);
  out->set_shared_bytes(facts.shared_bytes);
  out->set_kv_bytes_per_token(facts.kv_bytes_per_token);
  out->set_kv_capacity_tokens(facts.kv_capacity_tokens);
  out->set_page_tokens(static_cast<uint32_t>(facts.page_tokens));
}

void fill_served(const ModeTotals& totals, v1::Served* out) {
  out->set_generated_tokens(static_cast<uint64_t>(totals.generated_tokens));
  out->set_device_seconds(totals.step_seconds);
  if (totals.first_tokens > 0) out->set_mean_ttft_seconds(totals.first_token_seconds / totals.first_tokens);
  if (totals.paced_requests > 0) out->set_mean_tpot_seconds(totals.token_seconds / totals.paced_requests);
  if (totals.step_seconds > 0) out->set_generated_tokens_per_second(totals.generated_tokens / totals.step_seconds);
  out->set_interference_seconds(totals.interference_seconds);
}

void fill_quality(const QualityCard& card, v1::Quality* out) {
  out->set_reference(card.reference);
  out->set_text(card.text_name);
  out->set_text_sha256(card.text_sha256);
  out->set_protocol(card.protocol);
  out->set_windows(static_cast<uint64_t>(card.windows));
  out->set_window_tokens(static_cast<uint64_t>(card.window_tokens));
  out->set_scored_positions(static_cast<uint64_t>(card.scored_positions));
  out->set_bos(card.bos);
  out->set_perplexity(card.perplexity);
  out->set_perplexity_standard_error(card.perplexity_standard_error);
  out->set_reference_perplexity(card.reference_perplexity);
  out->set_kl_mean(card.kl_mean);
  out->set_kl_standard_error(card.kl_standard_error);
  out->set_kl_median(card.kl_median);
  out->set_kl_p99(card.kl_p99);
  out->set_kl_max(card.kl_max);
  out->set_top1(card.top1);
  out->set_label(card.label);
  out->set_machine(card.machine);
  out->set_commit(card.commit);
}

void fill_load(const EngineLoad& load, const TextDesk::Load& texts, v1::Load* out) {
  out->set_running(load.running);
  out->set_waiting(load.waiting);
  out->set_waiting_tokens(load.waiting_tokens);
  out->set_estimated_queue_seconds(load.estimated_queue_seconds);
  out->set_text_calls(texts.calls);
  out->set_text_bytes(texts.bytes);
}

}  // namespace

v1::ServerInfo server_info(const ServiceContext& context, const TextDesk::Load& texts) {
  const RequestRules& rules = context.rules;
  const ServerFacts& facts = context.facts;
  v1::ServerInfo out;
  out.set_version(facts.version);
  out.set_model(facts.model);
  out.set_architecture(facts.architecture);
  out.set_model_digest(facts.model_digest);
  out.set_source_format(facts.source_format);
  out.set_vocabulary_tokens(static_cast<uint32_t>(rules.vocabulary));
  if (rules.chat.ok()) out.set_chat_template(std::string(rules.chat->name()));
  out.set_default_mode(rules.modes.front().id);
  for (const DeviceFacts& device : facts.devices) {
    v1::Device* wire = out.add_devices();
    wire->set_name(device.name);
    wire->set_description(device.description);
    wire->set_isa(device.isa);
    wire->set_threads(device.threads);
    wire->set_total_bytes(device.total_bytes);
  }
  fill_limits(rules, out.mutable_limits());
  fill_defaults(rules.defaults, rules.modes.front().id, out.mutable_defaults());
  for (size_t i = 0; i < rules.modes.size(); ++i) {
    v1::Mode* wire = out.add_modes();
    fill_mode(rules.modes[i], wire);
    fill_served(context.metrics.totals(static_cast<int>(i)), wire->mutable_served());
    if (i < facts.quality.size() && facts.quality[i]) fill_quality(*facts.quality[i], wire->mutable_quality());
  }
  fill_load(context.engine.load(), texts, out.mutable_load());
  return out;
}

v1::MemoryReport memory_report(const ServiceContext& context) {
  v1::MemoryReport out;
  const MemorySample sample = context.memory();
  for (const MemorySample::Entry& entry : sample.entries) {
    v1::MemoryEntry* wire = out.add_entries();
    wire->set_device(entry.device);
    wire->set_owner(entry.owner);
    wire->set_category(entry.category);
    wire->set_bytes(entry.bytes);
    wire->mutable_peaks()->set_load_bytes(entry.peak_bytes[0]);
    wire->mutable_peaks()->set_prefill_bytes(entry.peak_bytes[1]);
    wire->mutable_peaks()->set_decode_bytes(entry.peak_bytes[2]);
  }
  for (const MemorySample::Device& device : sample.devices) {
    v1::DeviceMemory* wire = out.add_devices();
    wire->set_device(device.device);
    wire->set_total_bytes(device.total_bytes);
    wire->set_used_bytes(device.used_bytes);
    wire->set_accounted_bytes(device.accounted_bytes);
    wire->set_unaccounted_bytes(device.unaccounted_bytes);
  }
  for (const ModeFacts& mode : context.rules.modes) {
    v1::Footprint* footprint = out.add_footprints();
    footprint->set_mode(mode.id);
    footprint->set_bytes(mode.footprint_bytes);
  }
  return out;
}

}  // namespace halftone
