// The small HTTP server beside gRPC, for Prometheus and for probes: GET and HEAD of /metrics, /healthz and /.
// start() and stop() on one thread; requests are answered on its own few threads, which call `metrics` and `health`.
//
// A client has `request_time` to say what it wants, in at most `max_request_bytes`, and `response_time` to take the
// answer; every connection is closed after one answer. So slow or hostile clients delay others for a moment, never for
// good.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace halftone {

enum class Health { kLoading, kServing, kDraining, kSilent };  // kSilent: the gRPC port does not answer

struct HttpConfig {
  std::string address = "127.0.0.1";  // a name, an IPv4 or an IPv6 address
  int port = 9464;                    // 0: any free one
  int threads = 4;                    // a scrape takes milliseconds; more only helps against slow clients
  size_t max_request_bytes = 8192;    // Prometheus sends about 300
  std::chrono::milliseconds request_time{2000};
  std::chrono::milliseconds response_time{5000};
  std::chrono::milliseconds patience{250};  // request_time, when all threads are busy
};

struct HttpContent {
  std::function<std::string()> metrics;  // text exposition format 0.0.4; may be called by several threads at once
  std::function<Health()> health;        // the same
};

class HttpServer {
 public:
  // Listens and serves when it returns. Errors name the address and say why: INVALID_ARGUMENT for an address or port
  // that is none, what the system says (as absl::ErrnoToStatus maps it) for one that cannot be had, such as a taken
  // port.
  static absl::StatusOr<std::unique_ptr<HttpServer>> start(const HttpConfig& config, HttpContent content);
  ~HttpServer();  // stops

  int port() const;
  // Takes no new connections, cuts the open ones, returns when all threads have ended. May be called twice.
  void stop();

 private:
  class Workers;
  explicit HttpServer(std::unique_ptr<Workers> workers);
  std::unique_ptr<Workers> workers_;
};

}  // namespace halftone
