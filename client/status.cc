#include "client/status.h"

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "google/rpc/status.pb.h"

namespace halftone {
namespace {

template <class Detail>
std::string type_url() {
  return absl::StrCat("type.googleapis.com/", Detail::descriptor()->full_name());
}

template <class Detail>
std::optional<Detail> find_detail(const absl::Status& status) {
  const auto payload = status.GetPayload(type_url<Detail>());
  Detail detail;
  if (!payload || !detail.ParseFromString(std::string(*payload))) return std::nullopt;
  return detail;
}

}  // namespace

std::optional<double> retry_after_seconds(const absl::Status& status) {
  const auto info = find_detail<google::rpc::RetryInfo>(status);
  if (!info) return std::nullopt;
  return static_cast<double>(info->retry_delay().seconds()) + info->retry_delay().nanos() * 1e-9;
}

std::string reason_of(const absl::Status& status) {
  const auto info = find_detail<google::rpc::ErrorInfo>(status);
  return info ? info->reason() : "";
}

google::rpc::BadRequest violations_of(const absl::Status& status) {
  return find_detail<google::rpc::BadRequest>(status).value_or(google::rpc::BadRequest());
}

std::optional<v1::Receipt> usage_of(const absl::Status& status) { return find_detail<v1::Receipt>(status); }

absl::Status status_from_wire(int code, const std::string& message, const std::string& details,
                              const std::string& usage) {
  absl::Status status(static_cast<absl::StatusCode>(code), message);
  google::rpc::Status wire;
  if (wire.ParseFromString(details)) {
    for (const google::protobuf::Any& detail : wire.details()) {
      status.SetPayload(detail.type_url(), absl::Cord(detail.value()));
    }
  }
  if (!usage.empty()) status.SetPayload(type_url<v1::Receipt>(), absl::Cord(usage));
  return status;
}

}  // namespace halftone
