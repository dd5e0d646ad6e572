#include "server/api/status_details.h"

#include <algorithm>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "server/durations.h"

namespace halftone {
namespace {

constexpr absl::string_view kPrefix = "type.googleapis.com/";

void set_detail(absl::Status& status, const google::protobuf::Message& detail) {
  status.SetPayload(absl::StrCat(kPrefix, detail.GetDescriptor()->full_name()), absl::Cord(detail.SerializeAsString()));
}

}  // namespace

void set_reason(absl::Status& status, absl::string_view reason, const std::map<std::string, std::string>& metadata) {
  google::rpc::ErrorInfo info;
  info.set_reason(std::string(reason));
  info.set_domain("halftone");
  for (const auto& [key, value] : metadata) (*info.mutable_metadata())[key] = value;
  set_detail(status, info);
}

void set_retry_after(absl::Status& status, double seconds) {
  google::rpc::RetryInfo info;
  const int64_t time = std::max<int64_t>(saturated_nanoseconds(seconds), 0);
  info.mutable_retry_delay()->set_seconds(time / 1'000'000'000);
  info.mutable_retry_delay()->set_nanos(static_cast<int32_t>(time % 1'000'000'000));
  set_detail(status, info);
}

std::string details_bytes(const absl::Status& status) {
  google::rpc::Status out;
  status.ForEachPayload([&](absl::string_view url, const absl::Cord& bytes) {
    google::protobuf::Any* detail = out.add_details();
    detail->set_type_url(std::string(url));
    detail->set_value(std::string(bytes));
  });
  if (out.details().empty()) return "";
  out.set_code(static_cast<int>(status.code()));
  out.set_message(std::string(status.message()));
  return out.SerializeAsString();
}

}  // namespace halftone
