// What there is to ask for: paths, methods, and who makes the answers. Knows no connections.
#pragma once

#include <string>

#include "server/http/http_server.h"
#include "server/http/renderer.h"
#include "server/http/response.h"

namespace halftone {

struct HttpRequest {
  std::string method, target, accept_encoding;
};

class Site {
 public:
  explicit Site(HttpContent content);

  // `done` is called once, at once or later by a renderer's thread; never after stop(). Does not block. Any thread.
  void answer(const HttpRequest& request, Renderer::Done done);
  void stop();

 private:
  const SharedHttpResponse first_page_, not_found_, wrong_method_;
  Renderer metrics_, compressed_metrics_, health_;
};

}  // namespace halftone
