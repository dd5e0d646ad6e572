#include "server/http/site.h"

#include <utility>

#include "server/http/gzip.h"

namespace halftone {
namespace {

constexpr size_t kMostPages = 8;  // of metrics, taken by slow clients: half a MB each with ten modes

constexpr std::string_view kExposition =
    "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\nVary: Accept-Encoding\r\n";

SharedHttpResponse page_of(std::string text) {
  return std::make_shared<HttpResponse>(HttpResponse{200, std::string(kExposition), std::move(text)});
}

SharedHttpResponse compressed_page_of(const std::string& text) {
  return std::make_shared<HttpResponse>(
      HttpResponse{200, std::string(kExposition) + "Content-Encoding: gzip\r\n", gzip(text)});
}

SharedHttpResponse answer_of(Health health) {
  switch (health) {
    case Health::kServing:
      return plain_text(200, "ok\n");
    case Health::kLoading:
      return plain_text(503, "loading\n");
    case Health::kDraining:
      return plain_text(503, "draining\n");
    case Health::kSilent:
      return plain_text(503, "the gRPC port does not answer\n");
  }
  return plain_text(503, "unknown\n");
}

// The path of "/path?query" and of "http://host/path?query", which a proxy may send.
std::string_view path_of(std::string_view target) {
  constexpr std::string_view kScheme = "http://";
  if (target.starts_with(kScheme)) {
    const size_t slash = target.find('/', kScheme.size());
    target = slash == std::string_view::npos ? "/" : target.substr(slash);
  }
  return target.substr(0, target.find('?'));
}

}  // namespace

Site::Site(HttpContent content)
    : first_page_(
          plain_text(200, "/metrics  what is counted, for Prometheus\n/healthz  200 while requests are served\n")),
      not_found_(plain_text(404, "not found; there are /metrics and /healthz\n")),
      wrong_method_(plain_text(405, "only GET and HEAD\n", "Allow: GET, HEAD\r\n")),
      metrics_([render = content.metrics] { return page_of(render()); }, kMostPages),
      compressed_metrics_([render = std::move(content.metrics)] { return compressed_page_of(render()); }, kMostPages),
      health_([ask = std::move(content.health)] { return answer_of(ask()); }, kMostPages) {}

void Site::answer(const HttpRequest& request, Renderer::Done done) {
  const std::string_view path = path_of(request.target);
  if (request.method != "GET" && request.method != "HEAD") return done(wrong_method_);
  if (path == "/metrics") {
    return (accepts_gzip(request.accept_encoding) ? compressed_metrics_ : metrics_).ask(std::move(done));
  }
  if (path == "/healthz") return health_.ask(std::move(done));
  done(path == "/" ? first_page_ : not_found_);
}

void Site::stop() {
  metrics_.stop();
  compressed_metrics_.stop();
  health_.stop();
}

}  // namespace halftone
