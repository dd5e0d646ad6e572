// Parses bytes from the wire as one of our messages, or says in words what is wrong with them. Any thread; no state.
#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace google::protobuf {
class Message;
}

namespace halftone {

// INVALID_ARGUMENT: "the message is not a GenerateRequest: chat.messages[2].content is not UTF-8 (byte 17 of it)". Also
// for one with more strings and messages in it than any request needs, which would take many times its own bytes. All
// of this is found before memory is taken for it. Unknown fields are read: FieldChecks names them.
absl::Status parse_message(absl::string_view bytes, google::protobuf::Message* out);

}  // namespace halftone
