#include "server/http/response.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace halftone {
namespace {

const char* reason(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 400:
      return "Bad Request";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 413:
      return "Content Too Large";
    case 431:
      return "Request Header Fields Too Large";
    case 503:
      return "Service Unavailable";
    case 505:
      return "HTTP Version Not Supported";
  }
  return "";  // it may be empty
}

}  // namespace

SharedHttpResponse plain_text(int status, std::string body, const std::string& more_headers) {
  return std::make_shared<HttpResponse>(
      HttpResponse{status, "Content-Type: text/plain; charset=utf-8\r\n" + more_headers, std::move(body)});
}

std::string head_of(const HttpResponse& answer, bool last_of_connection) {
  return absl::StrCat("HTTP/1.1 ", answer.status, " ", reason(answer.status), "\r\n", answer.headers,
                      "Content-Length: ", answer.body.size(), "\r\n", last_of_connection ? "Connection: close\r\n" : "",
                      "\r\n");
}

}  // namespace halftone
