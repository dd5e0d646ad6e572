#include "server/api/convert.h"

namespace halftone {
namespace {

void add_candidates(const std::vector<Candidate>& candidates, const Tokenizer& tokenizer,
                    google::protobuf::RepeatedPtrField<v1::Candidate>* out) {
  for (const Candidate& candidate : candidates) {
    v1::Candidate* wire = out->Add();
    wire->set_id(static_cast<uint32_t>(candidate.id));
    wire->set_piece(std::string(tokenizer.piece(candidate.id)));
    wire->set_logprob(candidate.logprob);
  }
}

v1::Finish::Reason to_wire(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop:
      return v1::Finish::STOP;
    case FinishReason::kLength:
      return v1::Finish::LENGTH;
    case FinishReason::kContextLimit:
      return v1::Finish::CONTEXT_LIMIT;
    case FinishReason::kTimeLimit:
      return v1::Finish::TIME_LIMIT;
  }
  return v1::Finish::REASON_UNSPECIFIED;
}

}  // namespace

v1::Receipt to_wire(const Receipt& receipt, bool shows_work) {
  v1::Receipt out;
  out.set_prompt_tokens(receipt.prompt_tokens);
  out.set_generated_tokens(receipt.generated_tokens);
  out.set_preemptions(receipt.preemptions);
  out.set_queue_seconds(receipt.queue_seconds);
  out.set_prefill_seconds(receipt.prefill_seconds);
  out.set_decode_seconds(receipt.decode_seconds);
  out.set_ttft_seconds(receipt.ttft_seconds);
  out.set_tpot_seconds(receipt.tpot_seconds);
  out.set_device_seconds(receipt.device_seconds);
  out.set_interference_seconds(receipt.interference_seconds);
  out.set_peak_kv_bytes(receipt.peak_kv_bytes);
  out.set_kv_byte_seconds(receipt.kv_byte_seconds);
  if (!shows_work) return out;
  out.set_cached_tokens(receipt.cached_tokens);
  out.set_flops(receipt.flops);
  out.set_bytes_moved(receipt.bytes_moved);
  return out;
}

v1::Finish to_wire(const Finish& finish) {
  v1::Finish out;
  out.set_reason(to_wire(finish.reason));
  if (finish.stop) out.set_stop(*finish.stop);
  if (finish.stop_token_id) out.set_stop_token_id(static_cast<uint32_t>(*finish.stop_token_id));
  return out;
}

void fill_token(const TokenRecord& record, const Tokenizer& tokenizer, v1::TokenInfo* out) {
  out->set_id(static_cast<uint32_t>(record.id));
  out->set_piece(record.piece);
  if (record.logprob) out->set_logprob(*record.logprob);
  if (record.rank) out->set_rank(*record.rank);
  add_candidates(record.top, tokenizer, out->mutable_top());
}

void add_scores(const std::vector<TokenRecord>& records, const Tokenizer& tokenizer, v1::ScoreResponse* out) {
  for (const TokenRecord& record : records) {
    v1::ScoredToken* token = out->add_tokens();
    token->set_id(static_cast<uint32_t>(record.id));
    token->set_piece(record.piece);
    token->set_logprob(record.logprob.value_or(0));
    token->set_rank(record.rank.value_or(0));
    token->set_logsumexp(record.logsumexp.value_or(0));
    add_candidates(record.top, tokenizer, token->mutable_top());
    out->set_sum_logprob(out->sum_logprob() + token->logprob());
  }
}

void add_delta(const OutputDelta& delta, const AnswerStyle& style, v1::GenerateResponse* out) {
  out->mutable_text()->append(delta.text);
  for (const TokenRecord& record : delta.prompt_tokens) fill_token(record, style.tokenizer, out->add_prompt_tokens());
  for (const TokenRecord& record : delta.tokens) fill_token(record, style.tokenizer, out->add_tokens());
  if (delta.finish) *out->mutable_finish() = to_wire(*delta.finish);
  if (delta.receipt && style.receipt) *out->mutable_receipt() = to_wire(*delta.receipt, style.shows_work);
}

}  // namespace halftone
