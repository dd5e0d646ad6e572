#include "server/rpc/server.h"

#include <google/protobuf/stubs/logging.h>
#include <grpc/grpc.h>
#include <grpcpp/ext/health_check_service_server_builder_option.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <grpcpp/server_posix.h>

#include <algorithm>
#include <chrono>

#include "grpc/health/v1/health.pb.h"
#include "server/net/gate.h"
#include "server/rpc/service.h"

namespace halftone {
namespace {

constexpr int kStreamsOfConnection = 1024;                  // what clients are told; the queue's default
constexpr int kMetadataBytes = 8192;                        // of a request's headers, unpacked
constexpr size_t kMemoryOfConnections = size_t{512} << 20;  // where gRPC begins to cut streams
constexpr int kThreadsOfReflection = 16;

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
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, keepalive_ms);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, keepalive_ms);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  // Clients may ping as often themselves.
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, std::min(keepalive_ms, 5000));
}

// As low as they go without hindering anyone; the gate holds clients to them that don't listen.
void set_limits(uint64_t max_request_bytes, grpc::ServerBuilder& builder) {
  builder.SetMaxReceiveMessageSize(static_cast<int>(std::min<uint64_t>(max_request_bytes, INT32_MAX)));
  builder.SetMaxSendMessageSize(-1);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kStreamsOfConnection);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMetadataBytes);
  // A compressed message would be unpacked whole before its size is looked at.
  builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_GZIP, false);
  builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_DEFLATE, false);
  // Reflection holds a thread for each of its streams.
  grpc::ResourceQuota quota("halftone");
  quota.Resize(kMemoryOfConnections);
  quota.SetMaxThreads(kThreadsOfReflection);
  builder.SetResourceQuota(quota);
}

// gRPC's library is taken down with its last user, and may then wait ten seconds for a thread that polls the sockets of
// slow readers. So it has a user for the life of the process.
void keep_library() {
  [[maybe_unused]] static const bool kept = [] {
    grpc_init();
    return true;
  }();
}

}  // namespace

struct RpcServer::Parts {
  explicit Parts(ServiceContext context) : service(std::move(context)) {}

  InferenceService service;
  std::unique_ptr<grpc::Server> server;
  std::unique_ptr<Gate> gate;  // gRPC itself does not listen
};

RpcServer::RpcServer(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

RpcServer::~RpcServer() { shutdown(0); }

absl::StatusOr<std::unique_ptr<RpcServer>> RpcServer::start(const RpcConfig& config, ServiceContext context) {
  std::vector<std::string> names = {"", v1::Inference::service_full_name()};
  for (const ModeFacts& mode : context.rules.modes) names.push_back(mode.id);
  const uint64_t max_request_bytes = context.rules.limits.max_request_bytes;

  absl::StatusOr<std::vector<Socket>> listeners = listen_on_all(config.host, config.port);
  if (!listeners.ok()) return listeners.status();
  keep_library();
  auto parts = std::make_unique<Parts>(std::move(context));
  grpc::EnableDefaultHealthCheckService(true);
  // Else every request with broken UTF-8 would write a line on standard error; its sender gets a status.
  google::protobuf::SetLogHandler(nullptr);
  // Linked in, so that reflection can describe the service that gRPC's library answers.
  grpc::health::v1::HealthCheckRequest::descriptor();
  grpc::ServerBuilder builder;
  builder.SetOption(std::make_unique<ReflectionOption>(config.reflection));
  set_limits(max_request_bytes, builder);
  set_connection_arguments(config, builder);
  builder.RegisterService(&parts->service);
  parts->server = builder.BuildAndStart();
  if (!parts->server) return absl::InternalError("gRPC cannot start a server");
  for (const std::string& name : names) parts->server->GetHealthCheckService()->SetServingStatus(name, true);
  GateConfig gate_config;
  gate_config.connections = config.max_connections;
  gate_config.released = [desk = &parts->service.text_desk()](uint64_t bytes) { desk->note_freed(bytes); };
  auto adopt = [server = parts->server.get()](int fd) { grpc::AddInsecureChannelFromFd(server, fd); };
  auto gate = Gate::start(*std::move(listeners), gate_config, adopt, config.tell);
  if (!gate.ok()) return gate.status();
  parts->gate = *std::move(gate);
  return std::unique_ptr<RpcServer>(new RpcServer(std::move(parts)));
}

int RpcServer::port() const { return parts_->gate->port(); }

bool RpcServer::answers() const { return parts_->gate->answers(); }

void RpcServer::stop_serving() { parts_->server->GetHealthCheckService()->Shutdown(); }

void RpcServer::shutdown(double grace_seconds) {
  if (!parts_->server) return;
  parts_->server->GetHealthCheckService()->Shutdown();
  if (parts_->gate) parts_->gate->stop_accepting();
  parts_->server->Shutdown(std::chrono::system_clock::now() +
                           std::chrono::milliseconds(static_cast<int64_t>(grace_seconds * 1000)));
  parts_->server->Wait();
  parts_->server.reset();
  if (parts_->gate) parts_->gate->stop();
}

}  // namespace halftone
