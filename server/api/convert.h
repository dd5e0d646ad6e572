// The engine's values as messages of the API. Any thread; no state.
#pragma once

#include <vector>

#include "halftone/v1/inference.pb.h"
#include "server/api/service_context.h"
#include "server/api/text_desk.h"
#include "server/engine/output_stream.h"

namespace halftone {

// How an answer is shown to whoever asked for it.
struct AnswerStyle {
  const Tokenizer& tokenizer;
  bool receipt = false;
  // Receipts say how much work the prefix cache saved. Without a salt a prefix may be a stranger's, and whether it was
  // found would tell what the stranger asked.
  bool shows_work = false;
};

// Without `shows_work`, what the prefix cache saved can't be read from it: cached_tokens, flops and bytes_moved are 0.
v1::Receipt to_wire(const Receipt& receipt, bool shows_work);
v1::Finish to_wire(const Finish& finish);
void fill_token(const TokenRecord& record, const Tokenizer& tokenizer, v1::TokenInfo* out);
// Also adds to sum_logprob.
void add_scores(const std::vector<TokenRecord>& records, const Tokenizer& tokenizer, v1::ScoreResponse* out);
// Appends the delta's text, tokens and finish to the message, and its receipt where the style wants one: several deltas
// can be collected in one message.
void add_delta(const OutputDelta& delta, const AnswerStyle& style, v1::GenerateResponse* out);

v1::ServerInfo server_info(const ServiceContext& context, const TextDesk::Load& texts);
v1::MemoryReport memory_report(const ServiceContext& context);

}  // namespace halftone
