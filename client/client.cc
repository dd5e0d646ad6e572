#include "client/client.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <set>

#include "client/status.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "halftone/v1/inference.grpc.pb.h"
#include "server/durations.h"

namespace halftone {
namespace {

using Clock = std::chrono::system_clock;

// At most some thirty years: the sum with today must fit. NaN is no time at all.
Clock::duration to_duration(double seconds) {
  constexpr int64_t kLongest = 1'000'000'000'000'000'000;
  const std::chrono::nanoseconds time(std::clamp<int64_t>(saturated_nanoseconds(seconds), 0, kLongest));
  return std::chrono::duration_cast<Clock::duration>(time);
}

absl::Status from_grpc(const grpc::Status& status, const grpc::ClientContext& context) {
  if (status.ok()) return absl::OkStatus();
  std::string usage;
  const auto& trailers = context.GetServerTrailingMetadata();
  if (auto it = trailers.find("usage-bin"); it != trailers.end()) usage.assign(it->second.data(), it->second.size());
  return status_from_wire(static_cast<int>(status.error_code()), status.error_message(), status.error_details(), usage);
}

}  // namespace

struct Cancellation::State {
  std::mutex mutex;
  std::condition_variable changed;
  bool cancelled = false;
  std::set<grpc::ClientContext*> running;
};

Cancellation::Cancellation() : state_(std::make_unique<State>()) {}
Cancellation::~Cancellation() = default;

void Cancellation::cancel() {
  std::lock_guard lock(state_->mutex);
  state_->cancelled = true;
  for (grpc::ClientContext* context : state_->running) context->TryCancel();
  state_->changed.notify_all();
}

bool Cancellation::cancelled() const {
  std::lock_guard lock(state_->mutex);
  return state_->cancelled;
}

struct Client::Parts {
  ClientConfig config;
  std::unique_ptr<v1::Inference::Stub> inference;
  std::unique_ptr<grpc::health::v1::Health::Stub> health;
};

// One call with all its attempts.
class Client::Call {
 public:
  Call(const ClientConfig& config, const CallOptions& options)
      : config_(config), state_(options.cancellation ? options.cancellation->state_.get() : &own_) {
    if (options.deadline_seconds) deadline_ = Clock::now() + to_duration(*options.deadline_seconds);
  }

  // `attempt` gets a fresh context and returns its status; `retriable` says whether nothing has come yet.
  template <class Attempt, class Retriable>
  absl::Status run(const Attempt& attempt, const Retriable& retriable) {
    double pause = config_.first_pause_seconds;
    for (int left = config_.attempts;; --left) {
      absl::Status status = run_once(attempt);
      if (!absl::IsUnavailable(status) || left <= 1 || !retriable()) return status;
      const double wanted = std::max(pause, retry_after_seconds(status).value_or(0));
      if (absl::Status waited = wait(std::min(wanted, config_.longest_pause_seconds), status); !waited.ok())
        return waited;
      pause *= 2;
    }
  }

 private:
  template <class Attempt>
  absl::Status run_once(const Attempt& attempt) {
    grpc::ClientContext context;
    if (deadline_) context.set_deadline(*deadline_);
    {
      std::lock_guard lock(state_->mutex);
      if (state_->cancelled) return absl::CancelledError("the call was cancelled");
      state_->running.insert(&context);
    }
    const grpc::Status status = attempt(context);
    std::lock_guard lock(state_->mutex);
    state_->running.erase(&context);
    // A server that shuts down resets calls that reach it in that moment.
    if (status.error_code() == grpc::StatusCode::CANCELLED && !state_->cancelled) {
      return absl::UnavailableError("the server ended the call: it is shutting down");
    }
    return from_grpc(status, context);
  }

  // OK: try again. `last`: what there is to say when the deadline comes first.
  absl::Status wait(double seconds, const absl::Status& last) {
    const auto until = Clock::now() + to_duration(seconds);
    if (deadline_ && *deadline_ <= until) return last;
    std::unique_lock lock(state_->mutex);
    state_->changed.wait_until(lock, until, [&] { return state_->cancelled; });
    return state_->cancelled ? absl::CancelledError("the call was cancelled") : absl::OkStatus();
  }

  const ClientConfig& config_;
  Cancellation::State own_;
  Cancellation::State* state_;
  std::optional<Clock::time_point> deadline_;
};

Client::Client(ClientConfig config) : parts_(std::make_unique<Parts>()) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 20000);  // notices a server that is gone without a word
  auto channel = grpc::CreateCustomChannel(config.server, grpc::InsecureChannelCredentials(), arguments);
  parts_->inference = v1::Inference::NewStub(channel);
  parts_->health = grpc::health::v1::Health::NewStub(channel);
  parts_->config = std::move(config);
}

Client::~Client() = default;

absl::Status Client::generate(const v1::GenerateRequest& request, const OnMessage& on_message,
                              const CallOptions& options) {
  bool begun = false;
  const auto attempt = [&](grpc::ClientContext& context) {
    auto reader = parts_->inference->GenerateStream(&context, request);
    v1::GenerateResponse message;
    while (reader->Read(&message)) {
      begun = true;
      on_message(message);
    }
    return reader->Finish();
  };
  return Call(parts_->config, options).run(attempt, [&] { return !begun; });
}

template <class Response, class Method, class Request>
absl::StatusOr<Response> Client::unary(Method method, const Request& request, const CallOptions& options) {
  Response response;
  const auto attempt = [&](grpc::ClientContext& context) {
    return (parts_->inference.get()->*method)(&context, request, &response);
  };
  if (absl::Status status = Call(parts_->config, options).run(attempt, [] { return true; }); !status.ok())
    return status;
  return response;
}

absl::StatusOr<v1::GenerateResponse> Client::generate(const v1::GenerateRequest& request, const CallOptions& options) {
  return unary<v1::GenerateResponse>(&v1::Inference::Stub::Generate, request, options);
}

absl::StatusOr<v1::ScoreResponse> Client::score(const v1::ScoreRequest& request, const CallOptions& options) {
  return unary<v1::ScoreResponse>(&v1::Inference::Stub::Score, request, options);
}

absl::StatusOr<v1::TokenizeResponse> Client::tokenize(const v1::TokenizeRequest& request, const CallOptions& options) {
  return unary<v1::TokenizeResponse>(&v1::Inference::Stub::Tokenize, request, options);
}

absl::StatusOr<v1::DetokenizeResponse> Client::detokenize(const v1::DetokenizeRequest& request,
                                                          const CallOptions& options) {
  return unary<v1::DetokenizeResponse>(&v1::Inference::Stub::Detokenize, request, options);
}

absl::StatusOr<v1::ServerInfo> Client::info(const CallOptions& options) {
  return unary<v1::ServerInfo>(&v1::Inference::Stub::GetServerInfo, v1::GetServerInfoRequest(), options);
}

absl::StatusOr<v1::MemoryReport> Client::memory(const CallOptions& options) {
  return unary<v1::MemoryReport>(&v1::Inference::Stub::GetMemory, v1::GetMemoryRequest(), options);
}

absl::StatusOr<std::string> Client::health(const std::string& service, const CallOptions& options) {
  grpc::health::v1::HealthCheckRequest request;
  grpc::health::v1::HealthCheckResponse response;
  request.set_service(service);
  const auto attempt = [&](grpc::ClientContext& context) {
    return parts_->health->Check(&context, request, &response);
  };
  if (absl::Status status = Call(parts_->config, options).run(attempt, [] { return true; }); !status.ok())
    return status;
  return grpc::health::v1::HealthCheckResponse::ServingStatus_Name(response.status());
}

}  // namespace halftone
