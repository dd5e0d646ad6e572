// The three ways to give a prompt, and the tokens that it becomes. Any thread; no state.
#pragma once

#include <string>
#include <vector>
#include "absl/strings/string_view.h"

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "halftone/v1/inference.pb.h"
#include "server/rpc/field_checks.h"
#include "server/rpc/service_context.h"

namespace halftone {

// Text that stands for itself: the text of a special token means that token, and begins as the checkpoint asks.
std::vector<TokenId> encode_text(const std::string& text, const Tokenizer& tokenizer, bool add_special);
// FAILED_PRECONDITION without a known template; INVALID_ARGUMENT for roles or an order that it does not take.
// `rendered` may be null.
absl::StatusOr<std::vector<TokenId>> encode_chat_prompt(const v1::Chat& chat, const RequestRules& rules,
                                                        std::string* rendered);
// Where the template's end of turn is no token of the vocabulary, its text ends an answer as a stop string does.
void stop_at_end_of_turn(const RequestRules& rules, Request& request);
// Ids of the vocabulary; `field` is named in violations.
void check_ids(absl::string_view field, absl::Span<const uint32_t> ids, int64_t vocabulary, FieldChecks& checks);

// INVALID_ARGUMENT for no prompt, an empty one, one with unknown ids, one that is longer than the context.
template <class Wire>
absl::StatusOr<std::vector<TokenId>> encode_prompt(const Wire& wire, const RequestRules& rules);

extern template absl::StatusOr<std::vector<TokenId>> encode_prompt(const v1::GenerateRequest&, const RequestRules&);
extern template absl::StatusOr<std::vector<TokenId>> encode_prompt(const v1::ScoreRequest&, const RequestRules&);

}  // namespace halftone
