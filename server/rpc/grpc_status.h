// absl::Status to grpc::Status, details included. The codes have the same numbers.
#pragma once

#include <grpcpp/support/status.h>

#include "server/api/status_details.h"

namespace halftone {

inline grpc::Status to_grpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), std::string(status.message()),
                      details_bytes(status));
}

}  // namespace halftone
