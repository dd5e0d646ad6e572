// The gRPC server: the public service, health by mode, reflection. main starts it when the engine runs, and ends it:
//
//   start stop_serving? shutdown        // between the last two main drains the engine
//
// Any thread; no gRPC header is needed here.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "server/api/service_context.h"

namespace halftone {

struct RpcConfig {
  std::string host = "127.0.0.1";
  int port = 50051;               // 0: any free one
  double keepalive_seconds = 30;  // a client that does not answer a ping for as long again is gone
  bool reflection = true;
  size_t max_connections = 1024;  // each takes three descriptors
  // Of connections that had to end; called by one thread at a time, and often where somebody attacks.
  std::function<void(const std::string&)> tell = [](const std::string&) {};
};

class RpcServer {
 public:
  // Errors of listen_on_all() where the address can't be had. Health: SERVING for "", "halftone.v1.Inference" and each
  // mode's id.
  static absl::StatusOr<std::unique_ptr<RpcServer>> start(const RpcConfig& config, ServiceContext context);
  ~RpcServer();  // shutdown(0)

  int port() const;
  // A connection of this process's own was answered within the last seconds. Any thread.
  bool answers() const;
  // Health says NOT_SERVING from now on; calls are still answered.
  void stop_serving();
  // Takes no calls, lets living ones finish for so long, then cancels them. Returns when the last one is gone. The
  // engine must still run, or have ended every stream.
  void shutdown(double grace_seconds);

 private:
  struct Parts;
  explicit RpcServer(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace halftone
