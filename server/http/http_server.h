// The small HTTP server beside gRPC, for Prometheus and for probes: GET and HEAD of /metrics, /healthz and /.
// start() and stop() on one thread. One thread of its own moves bytes for all connections; three others render:
// /metrics, /metrics compressed, /healthz.
//
// A client has `request_time` to say what it wants and `response_time` to take the answer; then it is cut. When there
// are `max_connections`, or no descriptors are left, whoever has kept the server waiting longest is closed for a new
// client. So a crowd of slow or hostile clients holds some memory, no threads, and keeps nobody else from an answer.
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
  size_t max_connections = 1024;
  size_t max_request_bytes = 8192;  // request line and headers; Prometheus sends about 300
  size_t max_body_bytes = 65536;    // bodies are not read; a longer one has an answer of its own
  int max_requests = 100;           // of one connection
  std::chrono::milliseconds request_time{2000};
  std::chrono::milliseconds response_time{5000};
  std::chrono::milliseconds idle_time{75'000};  // between two requests: Prometheus comes once a minute, or more often
};

// Both may block, and may run at the same time as each other and themselves. Requests that come while one runs share
// its result, so that none is run more than once at a time for each of the three threads.
struct HttpContent {
  std::function<std::string()> metrics;  // text exposition format 0.0.4
  std::function<Health()> health;
};

class HttpServer {
 public:
  // Listens and serves when it returns: on every address that a name stands for. Errors name the address and say why:
  // INVALID_ARGUMENT for an address or port that is none, what the system says (as absl::ErrnoToStatus maps it) for one
  // that cannot be had, such as a taken port.
  static absl::StatusOr<std::unique_ptr<HttpServer>> start(const HttpConfig& config, HttpContent content);
  ~HttpServer();  // stops

  int port() const;
  // Takes no new connections, cuts the open ones, returns when all threads have ended; waits only for calls of
  // HttpContent that are running. May be called twice.
  void stop();

 private:
  class Loop;
  explicit HttpServer(std::unique_ptr<Loop> loop);
  std::unique_ptr<Loop> loop_;
};

}  // namespace halftone
