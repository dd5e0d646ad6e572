#include "server/api/field_checks.h"

#include <google/protobuf/message.h>
#include <google/protobuf/unknown_field_set.h>

#include "server/api/status_details.h"

namespace halftone {
namespace {

// More than a reader wants to see, and little enough for gRPC's limit on metadata (8 KiB).
constexpr int kMaxViolations = 8;
constexpr size_t kMaxDescriptionBytes = 300;

std::string join(const std::string& path, const std::string& name) { return path.empty() ? name : path + "." + name; }

}  // namespace

std::string shortened(absl::string_view text, size_t bytes) {
  if (text.size() <= bytes) return std::string(text);
  while (bytes > 0 && (static_cast<unsigned char>(text[bytes]) & 0xC0) == 0x80) --bytes;
  return absl::StrCat(text.substr(0, bytes), "...");
}

void FieldChecks::violate(absl::string_view field, const std::string& message) {
  if (request_.field_violations_size() == kMaxViolations) return;
  auto* violation = request_.add_field_violations();
  violation->set_field(std::string(field));
  violation->set_description(shortened(message, kMaxDescriptionBytes));
}

void FieldChecks::at_most(absl::string_view field, absl::string_view what, uint64_t count, uint64_t limit) {
  if (count > limit) violate(field, absl::StrCat(field, " has ", count, " ", what, ", the limit is ", limit));
}

void FieldChecks::no_unknown_fields(const google::protobuf::Message& message) { walk(message, ""); }

void FieldChecks::walk(const google::protobuf::Message& message, const std::string& path) {
  const auto& reflection = *message.GetReflection();
  const auto& unknown = reflection.GetUnknownFields(message);
  for (int i = 0; i < unknown.field_count() && request_.field_violations_size() < kMaxViolations; ++i) {
    const std::string owner = path.empty() ? "the request" : path;
    const std::string number = absl::StrCat(unknown.field(i).number());
    violate(join(path, number), absl::StrCat(owner, " has field ", number, ", which this server does not know"));
  }
  std::vector<const google::protobuf::FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  for (const auto* field : fields) {
    if (field->cpp_type() != google::protobuf::FieldDescriptor::CPPTYPE_MESSAGE) continue;
    const std::string here = join(path, field->name());
    if (!field->is_repeated()) {
      walk(reflection.GetMessage(message, field), here);
      continue;
    }
    for (int i = 0; i < reflection.FieldSize(message, field); ++i) {
      if (request_.field_violations_size() == kMaxViolations) return;
      walk(reflection.GetRepeatedMessage(message, field, i), absl::StrCat(here, "[", i, "]"));
    }
  }
}

absl::Status FieldChecks::status() const {
  if (ok()) return absl::OkStatus();
  std::string message;
  for (const auto& violation : request_.field_violations()) {
    absl::StrAppend(&message, message.empty() ? "" : "; ", violation.description());
  }
  absl::Status status = absl::InvalidArgumentError(message);
  status.SetPayload("type.googleapis.com/google.rpc.BadRequest", absl::Cord(request_.SerializeAsString()));
  set_reason(status, "INVALID_FIELD");
  return status;
}

}  // namespace halftone
