// How large an answer can become, known before it is computed: its counts times what a record takes on the wire. Any
// thread; no state.
#pragma once

#include "absl/status/status.h"
#include "server/api/service_context.h"
#include "server/engine/request.h"

namespace halftone {

// An upper bound of the bytes of a whole answer in one message, of Score or of Generate.
uint64_t most_answer_bytes(const Request& request, const RequestRules& rules);
// Bytes in memory of the prompt's records, where they are asked for: they wait as a whole for whoever reads a stream.
uint64_t prompt_record_bytes(const Request& request);

// INVALID_ARGUMENT where the whole answer may be larger than max_response_bytes, with what would fit.
absl::Status check_answer_fits(const Request& request, const RequestRules& rules);

}  // namespace halftone
