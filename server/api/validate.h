// Requests from the wire to requests for the engine, checked against the one table of limits. Any thread; no state.
//
// INVALID_ARGUMENT: a bad or unknown field, no prompt, a prompt longer than the context; BadRequest names the fields.
// NOT_FOUND: the mode, with the list. OUT_OF_RANGE: prompt and max_new_tokens together, with the numbers.
// FAILED_PRECONDITION: a chat where the checkpoint's template is not known. Sizes are checked before text is encoded,
// and encoding ends where the text is longer than the context, or with the status of CallTimes::over.
#pragma once

#include <functional>
#include <optional>

#include "absl/status/statusor.h"
#include "halftone/v1/inference.pb.h"
#include "server/api/service_context.h"
#include "server/engine/request.h"

namespace halftone {

struct CallTimes {
  Nanoseconds now = 0;                  // on the engine's clock
  std::optional<Nanoseconds> deadline;  // the call's own
  // Not OK: nobody waits for the answer any more. Empty: always OK. Asked on the thread that works for the call.
  std::function<absl::Status()> over = {};
};

absl::StatusOr<Request> make_generate_request(const v1::GenerateRequest& wire, const RequestRules& rules,
                                              const CallTimes& times);
absl::StatusOr<Request> make_score_request(const v1::ScoreRequest& wire, const RequestRules& rules,
                                           const CallTimes& times);
// "" is the first mode.
absl::StatusOr<ModeIndex> find_mode(const std::string& id, const RequestRules& rules);

}  // namespace halftone
