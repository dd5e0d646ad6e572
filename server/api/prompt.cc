#include "server/api/prompt.h"

#include <algorithm>

#include "server/api/status_details.h"

namespace halftone {
namespace {

absl::Status violation(absl::string_view field, const std::string& message) {
  FieldChecks checks;
  checks.violate(field, message);
  return checks.status();
}

absl::Status too_long(absl::string_view field, absl::string_view tokens, const Limits& limits) {
  return violation(field,
                   absl::StrCat("the prompt has ", tokens, " tokens, the context is ", limits.max_context_tokens));
}

// The trusted text first to last, or the segments of a chat: what there is to encode.
absl::StatusOr<std::vector<TokenId>> encode_bounded(absl::string_view field, std::span<const TextSegment> segments,
                                                    EncodeOptions options, const RequestRules& rules,
                                                    const CallOver& over) {
  const Limits& limits = rules.limits;
  size_t bytes = 0, least = 0;
  for (const TextSegment& segment : segments) {
    bytes += segment.text.size();
    // One token may lie in two segments.
    least += std::max<size_t>(rules.tokenizer.least_tokens(segment.text), 1) - 1;
  }
  if (least > limits.max_context_tokens) {
    return violation(field,
                     absl::StrCat("the prompt has ", bytes, " bytes, so at least ", least, " tokens, the context is ",
                                  limits.max_context_tokens, " (no token has more than ",
                                  *rules.tokenizer.most_bytes_per_token(), " bytes)"));
  }
  options.max_tokens = limits.max_context_tokens;
  options.stopped = [&over] { return over && !over().ok(); };
  std::vector<TokenId> tokens = rules.tokenizer.encode(segments, options);
  if (over) {
    if (absl::Status status = over(); !status.ok()) return status;
  }
  if (tokens.empty()) return violation(field, absl::StrCat("the prompt is empty: ", field, " gives no token"));
  if (tokens.size() > limits.max_context_tokens) {
    return too_long(field, absl::StrCat("more than ", limits.max_context_tokens), limits);
  }
  return tokens;
}

absl::StatusOr<std::vector<TokenId>> take_ids(const v1::TokenIds& wire, const RequestRules& rules) {
  constexpr absl::string_view kField = "tokens.ids";
  const auto& ids = wire.ids();
  if (static_cast<uint64_t>(ids.size()) > rules.limits.max_context_tokens) {
    return too_long(kField, absl::StrCat(ids.size()), rules.limits);
  }
  FieldChecks checks;
  check_ids(kField, ids, rules.vocabulary, checks);
  if (ids.empty()) checks.violate(kField, absl::StrCat("the prompt is empty: ", kField, " gives no token"));
  if (!checks.ok()) return checks.status();
  return std::vector<TokenId>(ids.begin(), ids.end());
}

}  // namespace

EncodeOptions text_options(bool add_special) { return {.add_special = add_special, .parse_special = true}; }

absl::StatusOr<std::vector<TextSegment>> render_chat(const v1::Chat& chat, const RequestRules& rules) {
  if (!rules.chat.ok()) {
    absl::Status status = rules.chat.status();
    set_reason(status, "NO_CHAT_TEMPLATE");
    return status;
  }
  FieldChecks checks;
  checks.at_most("chat.messages", "entries", static_cast<uint64_t>(chat.messages_size()),
                 rules.limits.max_chat_messages);
  if (!checks.ok()) return checks.status();
  std::vector<ChatMessage> messages;
  messages.reserve(static_cast<size_t>(chat.messages_size()));
  for (const v1::Message& message : chat.messages()) messages.push_back({message.role(), message.content()});
  auto segments = rules.chat->render(messages, true);
  if (!segments.ok()) return violation("chat", absl::StrCat("chat: ", segments.status().message()));
  return segments;
}

void stop_at_end_of_turn(const RequestRules& rules, Request& request) {
  if (request.ignore_eos || !rules.chat.ok()) return;
  const std::string end(rules.chat->end_of_turn());
  const std::optional<TokenId> token = rules.tokenizer.find(end);
  if (end.empty() || (token && rules.tokenizer.is_eos(*token))) return;
  if (std::find(request.stop.begin(), request.stop.end(), end) == request.stop.end()) request.stop.push_back(end);
}

void check_ids(absl::string_view field, absl::Span<const uint32_t> ids, int64_t vocabulary, FieldChecks& checks) {
  for (size_t i = 0; i < ids.size() && checks.ok(); ++i) {
    if (static_cast<int64_t>(ids[i]) >= vocabulary) {
      const std::string name = absl::StrCat(field, "[", i, "]");
      checks.violate(name, absl::StrCat(name, " = ", ids[i], " is outside the vocabulary of ", vocabulary, " tokens"));
    }
  }
}

uint64_t max_prompt_bytes(const RequestRules& rules) {
  const std::optional<size_t> most = rules.tokenizer.most_bytes_per_token();
  if (!most) return rules.limits.max_request_bytes;
  return std::min<uint64_t>(rules.limits.max_request_bytes, uint64_t{rules.limits.max_context_tokens} * *most);
}

template <class Wire>
absl::StatusOr<std::vector<TokenId>> encode_prompt(const Wire& wire, const RequestRules& rules, const CallOver& over) {
  switch (wire.prompt_case()) {
    case Wire::kChat: {
      auto segments = render_chat(wire.chat(), rules);
      if (!segments.ok()) return segments.status();
      return encode_bounded("chat", *segments, {}, rules, over);
    }
    case Wire::kText: {
      const TextSegment text{wire.text(), true};
      return encode_bounded("text", {&text, 1}, text_options(true), rules, over);
    }
    case Wire::kTokens:
      return take_ids(wire.tokens(), rules);
    case Wire::PROMPT_NOT_SET:
      break;
  }
  return violation("prompt", "the request has no prompt: one of chat, text and tokens must be set");
}

template absl::StatusOr<std::vector<TokenId>> encode_prompt(const v1::GenerateRequest&, const RequestRules&,
                                                            const CallOver&);
template absl::StatusOr<std::vector<TokenId>> encode_prompt(const v1::ScoreRequest&, const RequestRules&,
                                                            const CallOver&);

}  // namespace halftone
