// Statuses with the details that gRPC clients can decode: an absl::Status carries each google.rpc message as a payload,
// and goes on the wire as a serialized google.rpc.Status (grpc-status-details-bin). Pure functions; any thread.
#pragma once

#include <map>
#include <string>

#include "absl/status/status.h"

namespace halftone {

// ErrorInfo: a word for programs, such as "QUEUE_FULL", and the numbers behind the message.
void set_reason(absl::Status& status, absl::string_view reason,
                const std::map<std::string, std::string>& metadata = {});
// RetryInfo: trying again makes sense after `seconds`.
void set_retry_after(absl::Status& status, double seconds);

// The serialized google.rpc.Status; empty where there are no details.
std::string details_bytes(const absl::Status& status);

}  // namespace halftone
