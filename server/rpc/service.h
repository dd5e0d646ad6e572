// halftone.v1.Inference over gRPC's callback API: checks, submits, sends on. gRPC's threads call it, and the engine's
// delivery thread through the reactors; none of them ever waits.
#pragma once

#include "halftone/v1/inference.grpc.pb.h"
#include "server/rpc/service_context.h"

namespace halftone {

class InferenceService final : public v1::Inference::CallbackService {
 public:
  explicit InferenceService(ServiceContext context) : context_(std::move(context)) {}

  grpc::ServerUnaryReactor* Generate(grpc::CallbackServerContext* call, const v1::GenerateRequest* request,
                                     v1::GenerateResponse* response) override;
  grpc::ServerWriteReactor<v1::GenerateResponse>* GenerateStream(grpc::CallbackServerContext* call,
                                                                 const v1::GenerateRequest* request) override;
  grpc::ServerUnaryReactor* Score(grpc::CallbackServerContext* call, const v1::ScoreRequest* request,
                                  v1::ScoreResponse* response) override;
  grpc::ServerUnaryReactor* Tokenize(grpc::CallbackServerContext* call, const v1::TokenizeRequest* request,
                                     v1::TokenizeResponse* response) override;
  grpc::ServerUnaryReactor* Detokenize(grpc::CallbackServerContext* call, const v1::DetokenizeRequest* request,
                                       v1::DetokenizeResponse* response) override;
  grpc::ServerUnaryReactor* GetServerInfo(grpc::CallbackServerContext* call, const v1::GetServerInfoRequest* request,
                                          v1::ServerInfo* response) override;
  grpc::ServerUnaryReactor* GetMemory(grpc::CallbackServerContext* call, const v1::GetMemoryRequest* request,
                                      v1::MemoryReport* response) override;

 private:
  ServiceContext context_;
};

}  // namespace halftone
