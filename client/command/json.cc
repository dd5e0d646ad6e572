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

// Of the UTF-8 character of two bytes or more that begins there, as RFC 3629 has it; 0 where none does: a token may be
// half a character. Nor do control characters (U+0080 to U+009F) count, which a terminal would obey.
size_t character_bytes(const std::string& bytes, size_t at) {
  const auto byte = [&](size_t i) { return at + i < bytes.size() ? static_cast<unsigned char>(bytes[at + i]) : 0; };
  const int first = byte(0), second = byte(1);
  if (first < 0xC2 || first > 0xF4) return 0;
  const size_t size = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  const int least = first == 0xE0 || (first == 0xC2) ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
  const int most = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
  if (second < least || second > most) return 0;
  for (size_t i = 2; i < size; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  return size;
}

}  // namespace

std::string to_json_line(const google::protobuf::Message& message) { return to_json(message, false); }
std::string to_json_page(const google::protobuf::Message& message) { return to_json(message, true); }

std::string quoted(const std::string& bytes) {
  std::string out = "\"";
  for (size_t i = 0; i < bytes.size(); ++i) {
    const char c = bytes[i];
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x80) {
      const size_t size = character_bytes(bytes, i);
      out += size > 0 ? bytes.substr(i, size) : absl::StrFormat("\\x%02x", byte);
      if (size > 0) i += size - 1;
      continue;
    }
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
