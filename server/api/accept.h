// The way into the engine: submits a checked request, counts what was refused, and gives refusals their wire details.
// Any thread.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "server/api/service_context.h"

namespace halftone {

// What the first message of an answer says.
struct Accepted {
  std::shared_ptr<OutputStream> stream;
  std::string mode, weights_digest, request_id;
  uint64_t seed = 0;
  bool shows_work = false;  // see AnswerStyle
};

// Counts a status that is not OK as a refusal, for its own reason, and gives it back.
absl::Status count_refused(absl::Status status, Metrics& metrics);

// `request`: from make_generate_request or make_score_request.
absl::StatusOr<Accepted> accept_request(absl::StatusOr<Request> request, const ServiceContext& context);

}  // namespace halftone
