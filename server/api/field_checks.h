// Collects what is wrong with a request, field by field, and makes one INVALID_ARGUMENT of it whose message stands
// alone and whose BadRequest names the fields. One request, one thread.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "google/rpc/error_details.pb.h"
#include "server/ranges.h"

namespace google::protobuf {
class Message;
}

namespace halftone {

// The beginning of a text that a client sent, for a message: statuses travel as metadata, which is bounded. Never half
// a UTF-8 character.
std::string shortened(absl::string_view text, size_t bytes);

class FieldChecks {
 public:
  // `message` is complete in itself: it names the field and the value.
  void violate(absl::string_view field, const std::string& message);
  // "sampling.top_p = 1.7 is outside (0, 1]"
  template <class Number>
  void in_range(absl::string_view field, Number value, const NumberRange& range) {
    if (!range.contains(static_cast<double>(value))) {
      violate(field, absl::StrCat(field, " = ", number_text(value), " is outside ", range.text()));
    }
  }
  // "stopping.stop has 17 entries, the limit is 16"
  void at_most(absl::string_view field, absl::string_view what, uint64_t count, uint64_t limit);
  // Every field that this server does not know, at any depth.
  void no_unknown_fields(const google::protobuf::Message& message);

  bool ok() const { return request_.field_violations().empty(); }
  absl::Status status() const;  // OK where nothing was wrong

 private:
  void walk(const google::protobuf::Message& message, const std::string& path);

  google::rpc::BadRequest request_;
};

}  // namespace halftone
