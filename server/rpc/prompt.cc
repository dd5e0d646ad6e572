#include "server/rpc/prompt.h"

#include <algorithm>

#include "server/rpc/status_details.h"

namespace halftone {
namespace {

absl::Status violation(absl::string_view field, const std::string& message) {
  FieldChecks checks;
  checks.violate(field, message);
  return checks.status();
}

absl::Status too_long(absl::string_view field, size_t tokens, const Limits& limits) {
  return violation(field,
                   absl::StrCat("the prompt has ", tokens, " tokens, the context is ", limits.max_context_tokens));
}

}  // namespace

std::vector<TokenId> encode_text(const std::string& text, const Tokenizer& tokenizer, bool add_special) {
  return tokenizer.encode(text, {.add_special = add_special, .parse_special = true});
}

absl::StatusOr<std::vector<TokenId>> encode_chat_prompt(const v1::Chat& chat, const RequestRules& rules,
                                                        std::string* rendered) {
  if (!rules.chat.ok()) {
    absl::Status status = rules.chat.status();
    set_reason(status, "NO_CHAT_TEMPLATE");
    return status;
  }
  std::vector<ChatMessage> messages;
  messages.reserve(static_cast<size_t>(chat.messages_size()));
  for (const v1::Message& message : chat.messages()) messages.push_back({message.role(), message.content()});
  auto segments = rules.chat->render(messages, true);
  if (!segments.ok()) return violation("chat", absl::StrCat("chat: ", segments.status().message()));
  for (size_t i = 0; rendered != nullptr && i < segments->size(); ++i) rendered->append((*segments)[i].text);
  return rules.tokenizer.encode(*segments);
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

template <class Wire>
absl::StatusOr<std::vector<TokenId>> encode_prompt(const Wire& wire, const RequestRules& rules) {
  std::vector<TokenId> tokens;
  absl::string_view field;
  switch (wire.prompt_case()) {
    case Wire::kChat: {
      field = "chat";
      auto encoded = encode_chat_prompt(wire.chat(), rules, nullptr);
      if (!encoded.ok()) return encoded.status();
      tokens = *std::move(encoded);
      break;
    }
    case Wire::kText:
      field = "text";
      tokens = encode_text(wire.text(), rules.tokenizer, true);
      break;
    case Wire::kTokens: {
      field = "tokens.ids";
      const auto& ids = wire.tokens().ids();
      if (static_cast<uint64_t>(ids.size()) > rules.limits.max_context_tokens) {
        return too_long(field, static_cast<size_t>(ids.size()), rules.limits);
      }
      FieldChecks checks;
      check_ids(field, ids, rules.vocabulary, checks);
      if (!checks.ok()) return checks.status();
      tokens.assign(ids.begin(), ids.end());
      break;
    }
    case Wire::PROMPT_NOT_SET:
      return violation("prompt", "the request has no prompt: one of chat, text and tokens must be set");
  }
  if (tokens.empty()) return violation(field, absl::StrCat("the prompt is empty: ", field, " gives no token"));
  if (tokens.size() > rules.limits.max_context_tokens) return too_long(field, tokens.size(), rules.limits);
  return tokens;
}

template absl::StatusOr<std::vector<TokenId>> encode_prompt(const v1::GenerateRequest&, const RequestRules&);
template absl::StatusOr<std::vector<TokenId>> encode_prompt(const v1::ScoreRequest&, const RequestRules&);

}  // namespace halftone
