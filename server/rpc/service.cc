#include "server/rpc/service.h"

#include <chrono>

#include "server/rpc/accept.h"
#include "server/rpc/convert.h"
#include "server/rpc/grpc_status.h"
#include "server/rpc/prompt.h"
#include "server/rpc/reactors.h"
#include "server/rpc/validate.h"

namespace halftone {
namespace {

using Clock = std::chrono::system_clock;

// gRPC's deadline is wall time; the engine's clock is monotonic. Beyond a year it is none.
CallTimes times_of(const grpc::CallbackServerContext& call, const ServiceContext& context) {
  CallTimes times{context.clock(), std::nullopt};
  const auto left = call.deadline() - Clock::now();
  if (left < std::chrono::hours(24 * 365)) {
    times.deadline = times.now + std::chrono::duration_cast<std::chrono::nanoseconds>(left).count();
  }
  return times;
}

grpc::ServerUnaryReactor* finish(grpc::CallbackServerContext* call, const absl::Status& status) {
  grpc::ServerUnaryReactor* reactor = call->DefaultReactor();
  reactor->Finish(to_grpc(status));
  return reactor;
}

absl::Status check_unknown_fields(const google::protobuf::Message& request) {
  FieldChecks checks;
  checks.no_unknown_fields(request);
  return checks.status();
}

absl::Status tokenize(const v1::TokenizeRequest& request, const RequestRules& rules, v1::TokenizeResponse* response) {
  FieldChecks checks;
  checks.no_unknown_fields(request);
  if (request.prompt_case() == v1::TokenizeRequest::PROMPT_NOT_SET) {
    checks.violate("prompt", "the request has no prompt: one of chat and text must be set");
  } else if (request.has_chat() && request.add_special()) {
    checks.violate("add_special", "add_special goes with text: a chat template writes its own special tokens");
  }
  if (!checks.ok()) return checks.status();
  std::vector<TokenId> ids;
  if (request.has_text()) {
    response->set_rendered(request.text());
    ids = encode_text(request.text(), rules.tokenizer, request.add_special());
  } else {
    auto encoded = encode_chat_prompt(request.chat(), rules, response->mutable_rendered());
    if (!encoded.ok()) return encoded.status();
    ids = *std::move(encoded);
  }
  for (TokenId id : ids) {
    response->add_ids(static_cast<uint32_t>(id));
    response->add_pieces(std::string(rules.tokenizer.piece(id)));
  }
  return absl::OkStatus();
}

absl::Status detokenize(const v1::DetokenizeRequest& request, const RequestRules& rules,
                        v1::DetokenizeResponse* response) {
  FieldChecks checks;
  checks.no_unknown_fields(request);
  check_ids("ids", request.ids(), rules.vocabulary, checks);
  if (!checks.ok()) return checks.status();
  const std::vector<TokenId> ids(request.ids().begin(), request.ids().end());
  response->set_text(rules.tokenizer.decode(ids, request.skip_special()));
  return absl::OkStatus();
}

}  // namespace

grpc::ServerUnaryReactor* InferenceService::Generate(grpc::CallbackServerContext* call,
                                                     const v1::GenerateRequest* request,
                                                     v1::GenerateResponse* response) {
  auto accepted = accept_request(make_generate_request(*request, context_.rules, times_of(*call, context_)), context_);
  if (!accepted.ok()) return finish(call, accepted.status());
  return generate_reactor(call, *std::move(accepted), {context_.rules.tokenizer, request->output().receipt()},
                          response);
}

grpc::ServerWriteReactor<v1::GenerateResponse>* InferenceService::GenerateStream(grpc::CallbackServerContext* call,
                                                                                 const v1::GenerateRequest* request) {
  auto accepted = accept_request(make_generate_request(*request, context_.rules, times_of(*call, context_)), context_);
  if (!accepted.ok()) return failed_stream_reactor(accepted.status());
  return generate_stream_reactor(call, *std::move(accepted), {context_.rules.tokenizer, request->output().receipt()});
}

grpc::ServerUnaryReactor* InferenceService::Score(grpc::CallbackServerContext* call, const v1::ScoreRequest* request,
                                                  v1::ScoreResponse* response) {
  auto accepted = accept_request(make_score_request(*request, context_.rules, times_of(*call, context_)), context_);
  if (!accepted.ok()) return finish(call, accepted.status());
  return score_reactor(call, *std::move(accepted), context_.rules.tokenizer, response);
}

grpc::ServerUnaryReactor* InferenceService::Tokenize(grpc::CallbackServerContext* call,
                                                     const v1::TokenizeRequest* request,
                                                     v1::TokenizeResponse* response) {
  return finish(call, tokenize(*request, context_.rules, response));
}

grpc::ServerUnaryReactor* InferenceService::Detokenize(grpc::CallbackServerContext* call,
                                                       const v1::DetokenizeRequest* request,
                                                       v1::DetokenizeResponse* response) {
  return finish(call, detokenize(*request, context_.rules, response));
}

grpc::ServerUnaryReactor* InferenceService::GetServerInfo(grpc::CallbackServerContext* call,
                                                          const v1::GetServerInfoRequest* request,
                                                          v1::ServerInfo* response) {
  const absl::Status status = check_unknown_fields(*request);
  if (status.ok()) *response = server_info(context_);
  return finish(call, status);
}

grpc::ServerUnaryReactor* InferenceService::GetMemory(grpc::CallbackServerContext* call,
                                                      const v1::GetMemoryRequest* request, v1::MemoryReport* response) {
  const absl::Status status = check_unknown_fields(*request);
  if (status.ok()) *response = memory_report(context_);
  return finish(call, status);
}

}  // namespace halftone
