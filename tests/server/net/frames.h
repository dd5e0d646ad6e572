// HTTP/2 frames as bytes, legal or not. Tests only.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace halftone {

constexpr uint8_t kDataFrame = 0, kHeadersFrame = 1, kResetFrame = 3, kSettingsFrame = 4, kPingFrame = 6,
                  kGoAwayFrame = 7, kWindowFrame = 8, kContinuationFrame = 9;
constexpr uint8_t kEndStreamFlag = 1, kEndHeadersFlag = 4;

inline std::string frame(uint8_t type, uint8_t flags, uint32_t stream, std::string_view payload) {
  std::string bytes;
  for (const int shift : {16, 8, 0}) bytes.push_back(static_cast<char>(payload.size() >> shift));
  bytes.push_back(static_cast<char>(type));
  bytes.push_back(static_cast<char>(flags));
  for (const int shift : {24, 16, 8, 0}) bytes.push_back(static_cast<char>(stream >> shift));
  return bytes.append(payload);
}

// What a client begins with.
inline std::string greeting() { return "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(kSettingsFrame, 0, 0, ""); }

// A header that adds nothing to the dynamic table.
inline std::string header(std::string_view name, std::string_view value) {
  std::string bytes(1, '\0');
  for (const std::string_view text : {name, value}) {
    bytes.push_back(static_cast<char>(text.size()));  // below 127
    bytes.append(text);
  }
  return bytes;
}

// Of a call of a method of gRPC's.
inline std::string call_headers(std::string_view path, std::string_view more = "") {
  return header(":method", "POST") + header(":scheme", "http") + header(":path", path) + header(":authority", "x") +
         header("te", "trailers") + header("content-type", "application/grpc") + std::string(more);
}

}  // namespace halftone
