// An answer of HTTP, and the bytes that go in front of its body. Immutable once made: many connections send one.
#pragma once

#include <memory>
#include <string>

namespace halftone {

struct HttpResponse {
  int status = 200;
  std::string headers;  // lines of its own, each with its end: Content-Type at least
  std::string body;
};

using SharedHttpResponse = std::shared_ptr<const HttpResponse>;

SharedHttpResponse plain_text(int status, std::string body, const std::string& more_headers = "");

// Status line, headers and the empty line. The length is that of the body, whether it is sent (GET) or not (HEAD).
std::string head_of(const HttpResponse& answer, bool last_of_connection);

}  // namespace halftone
