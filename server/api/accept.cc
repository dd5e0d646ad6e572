#include "server/api/accept.h"

#include "server/api/status_details.h"

namespace halftone {
namespace {

// The reason for llm_rejected_total and, in capitals, for ErrorInfo.
std::string_view word_for(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kInvalidArgument:
      return "invalid";
    case absl::StatusCode::kNotFound:
      return "not_found";
    case absl::StatusCode::kFailedPrecondition:
      return "unsupported";
    case absl::StatusCode::kOutOfRange:
      return "too_long";
    case absl::StatusCode::kResourceExhausted:
      return "text_desk_full";
    case absl::StatusCode::kUnavailable:
      return "draining";
    case absl::StatusCode::kCancelled:
    case absl::StatusCode::kDeadlineExceeded:
      return "abandoned";
    default:
      return "other";
  }
}

absl::string_view reason_for(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kAlreadyExists:
      return "DUPLICATE_REQUEST_ID";
    case absl::StatusCode::kResourceExhausted:
      return "QUEUE_FULL";
    case absl::StatusCode::kOutOfRange:
      return "NEVER_FITS";
    case absl::StatusCode::kUnavailable:
      return "DRAINING";
    default:
      return "REFUSED";
  }
}

// Such requests take nothing from the prefix cache.
bool reads_prompt(const Request& request) {
  return request.kind == Request::Kind::kScore || request.prompt_logprobs > 0;
}

}  // namespace

absl::Status count_refused(absl::Status status, Metrics& metrics) {
  if (!status.ok()) metrics.request_rejected(-1, word_for(status.code()));
  return status;
}

absl::StatusOr<Accepted> accept_request(absl::StatusOr<Request> request, const ServiceContext& context) {
  if (!request.ok()) return count_refused(request.status(), context.metrics);
  const ModeFacts& mode = context.rules.modes[static_cast<size_t>(request->mode)];
  Accepted out{nullptr,
               mode.id,
               mode.weights_digest,
               request->id,
               request->sampling.seed,
               !request->cache_salt.empty() || !context.engine.shares_prefixes() || reads_prompt(*request)};
  Refusal refusal;
  out.stream = context.engine.submit(*std::move(request), &refusal);
  if (out.stream) return out;
  set_reason(refusal.status, reason_for(refusal.status.code()));
  if (refusal.retry_after_seconds) set_retry_after(refusal.status, *refusal.retry_after_seconds);
  return refusal.status;
}

}  // namespace halftone
