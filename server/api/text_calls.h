// Tokenize and Detokenize: answers that are made of text alone, without the engine. Any thread; no state.
#pragma once

#include "absl/status/status.h"
#include "halftone/v1/inference.pb.h"
#include "server/api/prompt.h"
#include "server/api/service_context.h"

namespace halftone {

// INVALID_ARGUMENT for bad fields, for more text or ids than the limits, and for an answer that would be larger than
// max_response_bytes: that is known before the answer is made. `over` is asked now and then, and its status returned.
absl::Status tokenize(const v1::TokenizeRequest& request, const RequestRules& rules, const CallOver& over,
                      v1::TokenizeResponse* response);
absl::Status detokenize(const v1::DetokenizeRequest& request, const RequestRules& rules, const CallOver& over,
                        v1::DetokenizeResponse* response);

}  // namespace halftone
