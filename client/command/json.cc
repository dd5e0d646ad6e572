#include "client/command/json.h"

#include <google/protobuf/util/json_util.h>

#include "absl/strings/str_format.h"

namespace halftone {
namespace {

std::string to_json(const google::protobuf::Message& message, bool page) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = page;
  options.always_print_primitive_fields = true;
  options.preserve_proto_field_names = true;
  std::string out;
  // Fails for google.protobuf.Any alone, which our messages do not have.
  (void)google::protobuf::util::MessageToJsonString(message, &out, options);
  return out;
}

}  // namespace

std::string to_json_line(const google::protobuf::Message& message) { return to_json(message, false); }
std::string to_json_page(const google::protobuf::Message& message) { return to_json(message, true); }

std::string quoted(const std::string& bytes) {
  std::string out = "\"";
  for (char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c == '"' || c == '\\') {
      out += std::string("\\") + c;
    } else if (byte < 0x20 || byte == 0x7f) {
      out += absl::StrFormat("\\x%02x", byte);
    } else {
      out += c;
    }
  }
  return out + "\"";
}

}  // namespace halftone
