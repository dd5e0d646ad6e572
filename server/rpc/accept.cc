#include "server/rpc/accept.h"

#include "server/rpc/status_details.h"

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

}  // namespace

absl::StatusOr<Accepted> accept_request(absl::StatusOr<Request> request, const ServiceContext& context) {
  if (!request.ok()) {
    context.metrics.request_rejected(-1, word_for(request.status().code()));
    return request.status();
  }
  const ModeFacts& mode = context.rules.modes[static_cast<size_t>(request->mode)];
  Accepted out{nullptr, mode.id, mode.weights_digest, request->id, request->sampling.seed};
  Refusal refusal;
  out.stream = context.engine.submit(*std::move(request), &refusal);
  if (out.stream) return out;
  set_reason(refusal.status, reason_for(refusal.status.code()));
  if (refusal.retry_after_seconds) set_retry_after(refusal.status, *refusal.retry_after_seconds);
  return refusal.status;
}

}  // namespace halftone
