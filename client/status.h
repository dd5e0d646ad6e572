// What a failed call's status carries besides code and message. Pure functions; any thread.
#pragma once

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "google/rpc/error_details.pb.h"
#include "halftone/v1/inference.pb.h"

namespace halftone {

std::optional<double> retry_after_seconds(const absl::Status& status);
// ErrorInfo.reason, "" where the server sent none: then the status did not come from Halftone itself.
std::string reason_of(const absl::Status& status);
google::rpc::BadRequest violations_of(const absl::Status& status);  // empty where there are none
// What the call had used until it failed.
std::optional<v1::Receipt> usage_of(const absl::Status& status);

// From the wire: a serialized google.rpc.Status and a serialized v1::Receipt, each may be empty.
absl::Status status_from_wire(int code, const std::string& message, const std::string& details,
                              const std::string& usage);

}  // namespace halftone
