// The three ways to give a prompt, and the tokens that it becomes. Any thread; no state.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "halftone/v1/inference.pb.h"
#include "server/api/field_checks.h"
#include "server/api/service_context.h"

namespace halftone {

// Asked whether the call is over: a status that is not OK says that nobody waits for the answer any more. May be empty.
using CallOver = std::function<absl::Status()>;

// A chat as segments: the template's own text is trusted, the messages' is not. FAILED_PRECONDITION without a known
// template; INVALID_ARGUMENT for too many messages, and for roles or an order that it does not take.
absl::StatusOr<std::vector<TextSegment>> render_chat(const v1::Chat& chat, const RequestRules& rules);
// How raw text is encoded: the text of a special token means that token; with add_special it begins with BOS where the
// checkpoint asks for that.
EncodeOptions text_options(bool add_special);
// Where the template's end of turn is no token of the vocabulary, its text ends an answer as a stop string does.
void stop_at_end_of_turn(const RequestRules& rules, Request& request);
// Adds a violation of `field` for each id that is outside the vocabulary.
void check_ids(absl::string_view field, absl::Span<const uint32_t> ids, int64_t vocabulary, FieldChecks& checks);

// A text with more bytes than this can't be a prompt; max_request_bytes where the vocabulary sets no such bound.
uint64_t max_prompt_bytes(const RequestRules& rules);

// INVALID_ARGUMENT for no prompt, an empty one, one with unknown ids, one that is longer than the context: by its bytes
// where that is enough to know, else as soon as it is. `over` is asked now and then, and its status returned.
template <class Wire>
absl::StatusOr<std::vector<TokenId>> encode_prompt(const Wire& wire, const RequestRules& rules, const CallOver& over);

extern template absl::StatusOr<std::vector<TokenId>> encode_prompt(const v1::GenerateRequest&, const RequestRules&,
                                                                   const CallOver&);
extern template absl::StatusOr<std::vector<TokenId>> encode_prompt(const v1::ScoreRequest&, const RequestRules&,
                                                                   const CallOver&);

}  // namespace halftone
