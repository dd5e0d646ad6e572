#include "server/api/text_calls.h"

#include "absl/strings/str_cat.h"
#include "server/api/field_checks.h"
#include "server/api/status_details.h"

namespace halftone {
namespace {

// On the wire beside the piece itself: the id, and the piece's tag and length. At least, and at most.
constexpr uint64_t kLeastTokenBytes = 1 + 2, kMostTokenBytes = 5 + 1 + 3;
constexpr uint64_t kOnceBytes = 32;  // tags and lengths that stand once

absl::Status too_large(absl::string_view field, const std::string& answer, const Limits& limits) {
  FieldChecks checks;
  checks.violate(field, absl::StrCat(answer, ", max_response_bytes is ", limits.max_response_bytes, ": send the ",
                                     field, " in parts"));
  absl::Status status = checks.status();
  set_reason(status, "ANSWER_TOO_LARGE", {{"max_response_bytes", absl::StrCat(limits.max_response_bytes)}});
  return status;
}

absl::Status over_now(const CallOver& over) { return over ? over() : absl::OkStatus(); }

// What is to be encoded; checks all that can be checked before.
absl::StatusOr<std::vector<TextSegment>> segments_of(const v1::TokenizeRequest& request, const RequestRules& rules) {
  FieldChecks checks;
  checks.no_unknown_fields(request);
  if (request.prompt_case() == v1::TokenizeRequest::PROMPT_NOT_SET) {
    checks.violate("prompt", "the request has no prompt: one of chat and text must be set");
  } else if (request.has_chat() && request.add_special()) {
    checks.violate("add_special", "add_special goes with text: a chat template writes its own special tokens");
  }
  checks.at_most("text", "bytes", request.text().size(), rules.limits.max_tokenize_bytes);
  if (!checks.ok()) return checks.status();
  if (request.has_text()) return std::vector<TextSegment>{{request.text(), true}};
  auto segments = render_chat(request.chat(), rules);
  if (!segments.ok()) return segments.status();
  uint64_t bytes = 0;
  for (const TextSegment& segment : *segments) bytes += segment.text.size();
  checks.at_most("chat", "bytes when rendered", bytes, rules.limits.max_tokenize_bytes);
  if (!checks.ok()) return checks.status();
  return segments;
}

}  // namespace

absl::Status tokenize(const v1::TokenizeRequest& request, const RequestRules& rules, const CallOver& over,
                      v1::TokenizeResponse* response) {
  const Limits& limits = rules.limits;
  const absl::string_view field = request.has_text() ? "text" : "chat";
  auto segments = segments_of(request, rules);
  if (!segments.ok()) return segments.status();
  std::string& rendered = *response->mutable_rendered();
  for (const TextSegment& segment : *segments) rendered += segment.text;
  const uint64_t room = limits.max_response_bytes - std::min(limits.max_response_bytes, rendered.size() + kOnceBytes);
  EncodeOptions options = text_options(request.add_special());
  options.max_tokens = room / kLeastTokenBytes;
  options.stopped = [&over] { return !over_now(over).ok(); };
  const std::vector<TokenId> ids = rules.tokenizer.encode(*segments, options);
  if (absl::Status status = over_now(over); !status.ok()) return status;
  if (ids.size() > options.max_tokens) {
    return too_large(field, absl::StrCat("the answer has more than ", options.max_tokens, " tokens"), limits);
  }
  uint64_t bytes = 0;
  for (TokenId id : ids) bytes += kMostTokenBytes + rules.tokenizer.piece(id).size();
  if (bytes > room) {
    return too_large(
        field,
        absl::StrCat("the answer of ", ids.size(), " tokens may have ", bytes + rendered.size() + kOnceBytes, " bytes"),
        limits);
  }
  response->mutable_ids()->Reserve(static_cast<int>(ids.size()));
  response->mutable_pieces()->Reserve(static_cast<int>(ids.size()));
  for (TokenId id : ids) {
    const std::string_view piece = rules.tokenizer.piece(id);
    response->add_ids(static_cast<uint32_t>(id));
    response->add_pieces(piece.data(), piece.size());
  }
  return absl::OkStatus();
}

absl::Status detokenize(const v1::DetokenizeRequest& request, const RequestRules& rules, const CallOver& over,
                        v1::DetokenizeResponse* response) {
  const Limits& limits = rules.limits;
  FieldChecks checks;
  checks.no_unknown_fields(request);
  checks.at_most("ids", "entries", static_cast<uint64_t>(request.ids_size()), limits.max_detokenize_ids);
  if (!checks.ok()) return checks.status();
  check_ids("ids", request.ids(), rules.vocabulary, checks);
  if (!checks.ok()) return checks.status();
  const std::vector<TokenId> ids(request.ids().begin(), request.ids().end());
  uint64_t bytes = kOnceBytes;
  for (TokenId id : ids) bytes += rules.tokenizer.piece(id).size();
  if (absl::Status status = over_now(over); !status.ok()) return status;
  if (bytes <= limits.max_response_bytes) {
    // What is no UTF-8 becomes longer.
    response->set_text(rules.tokenizer.decode(ids, request.skip_special()));
    bytes = response->text().size() + kOnceBytes;
  }
  if (bytes <= limits.max_response_bytes) return absl::OkStatus();
  response->clear_text();
  return too_large("ids", absl::StrCat("the text of ", ids.size(), " ids has ", bytes - kOnceBytes, " bytes"), limits);
}

}  // namespace halftone
