#include "server/rpc/service.h"

#include <utility>

#include "server/api/accept.h"
#include "server/api/convert.h"
#include "server/api/field_checks.h"
#include "server/rpc/grpc_status.h"
#include "server/rpc/messages.h"

namespace halftone {
namespace {

TextDeskConfig desk_config(const ServiceContext& context) {
  TextDeskConfig config;
  config.max_calls = context.rules.limits.max_text_calls;
  config.max_bytes = context.rules.limits.max_text_bytes;
  config.stall_limit = context.engine.stall_limit();
  return config;
}

// A message without fields: all that can be in it is unknown, and most of that is not even looked at.
template <class Message>
absl::Status check_empty(grpc::ByteBuffer* bytes) {
  constexpr size_t kMostBytes = 4096;
  if (bytes->Length() > kMostBytes) {
    absl::Status status = absl::InvalidArgumentError(absl::StrCat("the message has ", bytes->Length(), " bytes, but a ",
                                                                  Message::descriptor()->name(), " has no fields"));
    bytes->Clear();
    return status;
  }
  const auto message = take_message<Message>(bytes);
  if (!message.ok()) return message.status();
  FieldChecks checks;
  checks.no_unknown_fields(*message);
  return checks.status();
}

grpc::ServerUnaryReactor* finish(grpc::CallbackServerContext* call, const absl::Status& status) {
  grpc::ServerUnaryReactor* reactor = call->DefaultReactor();
  reactor->Finish(to_grpc(status));
  return reactor;
}

}  // namespace

InferenceService::InferenceService(ServiceContext context)
    : context_(std::move(context)), desk_(desk_config(context_), context_.metrics, context_.clock) {}

Incoming InferenceService::incoming(Call* call, const Bytes* request) {
  // The message is gRPC's, but nobody else will read it, and it may be large: it goes when it was read.
  return {call, const_cast<Bytes*>(request), context_, desk_};
}

grpc::ServerUnaryReactor* InferenceService::Generate(Call* call, const Bytes* request, Bytes* response) {
  return generate_reactor(incoming(call, request), response);
}

StreamReactor* InferenceService::GenerateStream(Call* call, const Bytes* request) {
  return generate_stream_reactor(incoming(call, request));
}

grpc::ServerUnaryReactor* InferenceService::Score(Call* call, const Bytes* request, Bytes* response) {
  return score_reactor(incoming(call, request), response);
}

grpc::ServerUnaryReactor* InferenceService::Tokenize(Call* call, const Bytes* request, Bytes* response) {
  return tokenize_reactor(incoming(call, request), response);
}

grpc::ServerUnaryReactor* InferenceService::Detokenize(Call* call, const Bytes* request, Bytes* response) {
  return detokenize_reactor(incoming(call, request), response);
}

grpc::ServerUnaryReactor* InferenceService::GetServerInfo(Call* call, const Bytes* request, Bytes* response) {
  const absl::Status status = check_empty<v1::GetServerInfoRequest>(const_cast<Bytes*>(request));
  if (status.ok()) put_message(server_info(context_, desk_.load()), response);
  return finish(call, count_refused(status, context_.metrics));
}

grpc::ServerUnaryReactor* InferenceService::GetMemory(Call* call, const Bytes* request, Bytes* response) {
  const absl::Status status = check_empty<v1::GetMemoryRequest>(const_cast<Bytes*>(request));
  if (status.ok()) put_message(memory_report(context_), response);
  return finish(call, count_refused(status, context_.metrics));
}

}  // namespace halftone
