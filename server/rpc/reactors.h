// The gRPC ends of a stream of answers. Each is made for one call and destroys itself when gRPC is done with it.
#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include "absl/status/status.h"
#include "halftone/v1/inference.pb.h"
#include "server/rpc/accept.h"

namespace halftone {

struct AnswerStyle {
  const Tokenizer& tokenizer;
  bool receipt = false;
};

grpc::ServerWriteReactor<v1::GenerateResponse>* generate_stream_reactor(grpc::CallbackServerContext* call,
                                                                        Accepted accepted, AnswerStyle style);
grpc::ServerWriteReactor<v1::GenerateResponse>* failed_stream_reactor(const absl::Status& status);
grpc::ServerUnaryReactor* generate_reactor(grpc::CallbackServerContext* call, Accepted accepted, AnswerStyle style,
                                           v1::GenerateResponse* response);
grpc::ServerUnaryReactor* score_reactor(grpc::CallbackServerContext* call, Accepted accepted,
                                        const Tokenizer& tokenizer, v1::ScoreResponse* response);

}  // namespace halftone
