// The engine's values as messages of the API. Any thread; no state.
#pragma once

#include <vector>

#include "halftone/v1/inference.pb.h"
#include "server/engine/output_stream.h"
#include "server/rpc/service_context.h"

namespace halftone {

v1::Receipt to_wire(const Receipt& receipt);
v1::Finish to_wire(const Finish& finish);
void add_tokens(const std::vector<TokenRecord>& records, const Tokenizer& tokenizer,
                google::protobuf::RepeatedPtrField<v1::TokenInfo>* out);
// Also adds to sum_logprob.
void add_scores(const std::vector<TokenRecord>& records, const Tokenizer& tokenizer, v1::ScoreResponse* out);
// Text, tokens, finish; the receipt only where `with_receipt`. Appends, so that deltas can be collected in one message.
void add_delta(const OutputDelta& delta, bool with_receipt, const Tokenizer& tokenizer, v1::GenerateResponse* out);

v1::ServerInfo server_info(const ServiceContext& context);
v1::MemoryReport memory_report(const ServiceContext& context);

}  // namespace halftone
