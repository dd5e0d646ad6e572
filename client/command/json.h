// Messages and bytes as text for people and scripts. Pure functions.
#pragma once

#include <google/protobuf/message.h>

#include <string>

namespace halftone {

// Field names as in the proto; fields that stand at their default are shown. Bytes are base64, 64-bit integers strings.
std::string to_json_line(const google::protobuf::Message& message);
std::string to_json_page(const google::protobuf::Message& message);
// In double quotes; what is not printable ASCII or whole characters of UTF-8 as \n, \t or \xNN.
std::string quoted(const std::string& bytes);

}  // namespace halftone
