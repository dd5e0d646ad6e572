#include "server/rpc/server.h"

#include <google/protobuf/stubs/logging.h>
#include <grpc/support/log.h>
#include <grpcpp/ext/health_check_service_server_builder_option.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <algorithm>
#include <chrono>

#include "absl/strings/str_cat.h"
#include "grpc/health/v1/health.pb.h"
#include "server/rpc/service.h"

namespace halftone {
namespace {

// gRPC's reflection plugin adds itself to every server of a process that links it: this decides for one server.
class ReflectionOption final : public grpc::ServerBuilderOption {
 public:
  explicit ReflectionOption(bool wanted) : wanted_(wanted) {}
  void UpdateArguments(grpc::ChannelArguments*) override {}
  void UpdatePlugins(std::vector<std::unique_ptr<grpc::ServerBuilderPlugin>>* plugins) override {
    auto plugin = std::make_unique<grpc::reflection::ProtoServerReflectionPlugin>();
    std::erase_if(*plugins, [&](const auto& other) { return other->name() == plugin->name(); });
    if (wanted_) plugins->push_back(std::move(plugin));
  }

 private:
  bool wanted_;
};

void set_connection_arguments(const RpcConfig& config, grpc::ServerBuilder& builder) {
  const int keepalive_ms = static_cast<int>(std::clamp(config.keepalive_seconds, 0.01, 86400.0) * 1000);
  // A second server on the same port must fail, not share it.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, keepalive_ms);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, keepalive_ms);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  // Clients may ping as often themselves.
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, std::min(keepalive_ms, 5000));
}

std::string address(const RpcConfig& config) {
  const bool ipv6 = config.host.find(':') != std::string::npos && config.host.front() != '[';
  return ipv6 ? absl::StrCat("[", config.host, "]:", config.port) : absl::StrCat(config.host, ":", config.port);
}

}  // namespace

struct RpcServer::Parts {
  explicit Parts(ServiceContext context) : service(std::move(context)) {}

  InferenceService service;
  std::unique_ptr<grpc::Server> server;
  int port = 0;
};

RpcServer::RpcServer(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

RpcServer::~RpcServer() { shutdown(0); }

absl::StatusOr<std::unique_ptr<RpcServer>> RpcServer::start(const RpcConfig& config, ServiceContext context) {
  std::vector<std::string> names = {"", v1::Inference::service_full_name()};
  for (const ModeFacts& mode : context.rules.modes) names.push_back(mode.id);
  const uint64_t max_request_bytes = context.rules.limits.max_request_bytes;

  auto parts = std::make_unique<Parts>(std::move(context));
  grpc::EnableDefaultHealthCheckService(true);
  // Else every request with broken UTF-8 would write a line on standard error; its sender gets a status.
  google::protobuf::SetLogHandler(nullptr);
  // Linked in, so that reflection can describe the service that gRPC's library answers.
  grpc::health::v1::HealthCheckRequest::descriptor();
  grpc::ServerBuilder builder;
  builder.SetOption(std::make_unique<ReflectionOption>(config.reflection));
  builder.SetMaxReceiveMessageSize(static_cast<int>(std::min<uint64_t>(max_request_bytes, INT32_MAX)));
  builder.SetMaxSendMessageSize(-1);
  set_connection_arguments(config, builder);
  builder.AddListeningPort(address(config), grpc::InsecureServerCredentials(), &parts->port);
  builder.RegisterService(&parts->service);
  // A taken port is ours to report, in one line.
  gpr_set_log_function([](gpr_log_func_args*) {});
  parts->server = builder.BuildAndStart();
  gpr_set_log_function(nullptr);
  if (!parts->server || parts->port == 0) {
    return absl::UnavailableError(
        absl::StrCat("cannot listen on ", address(config), ": the port is taken or the address is not this machine's"));
  }
  for (const std::string& name : names) parts->server->GetHealthCheckService()->SetServingStatus(name, true);
  return std::unique_ptr<RpcServer>(new RpcServer(std::move(parts)));
}

int RpcServer::port() const { return parts_->port; }

void RpcServer::stop_serving() { parts_->server->GetHealthCheckService()->Shutdown(); }

void RpcServer::set_serving(const std::string& mode, bool serving) {
  parts_->server->GetHealthCheckService()->SetServingStatus(mode, serving);
}

void RpcServer::shutdown(double grace_seconds) {
  if (!parts_->server) return;
  parts_->server->GetHealthCheckService()->Shutdown();
  parts_->server->Shutdown(std::chrono::system_clock::now() +
                           std::chrono::milliseconds(static_cast<int64_t>(grace_seconds * 1000)));
  parts_->server->Wait();
  parts_->server.reset();
}

}  // namespace halftone
