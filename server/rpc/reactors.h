// The gRPC ends of calls. Each is made for one call on gRPC's thread, does its work at the text desk, and destroys
// itself when gRPC is done with it.
#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include "absl/status/status.h"
#include "halftone/v1/inference.pb.h"
#include "server/api/service_context.h"
#include "server/api/text_desk.h"

namespace halftone {

using StreamReactor = grpc::ServerWriteReactor<grpc::ByteBuffer>;

// What a call came with. All is borrowed: call, message and response live until gRPC is done, context and desk longer.
struct Incoming {
  grpc::CallbackServerContext* call;
  grpc::ByteBuffer* message;  // cleared when it was read
  const ServiceContext& context;
  TextDesk& desk;
};

grpc::ServerUnaryReactor* generate_reactor(const Incoming& incoming, grpc::ByteBuffer* response);
StreamReactor* generate_stream_reactor(const Incoming& incoming);
grpc::ServerUnaryReactor* score_reactor(const Incoming& incoming, grpc::ByteBuffer* response);
grpc::ServerUnaryReactor* tokenize_reactor(const Incoming& incoming, grpc::ByteBuffer* response);
grpc::ServerUnaryReactor* detokenize_reactor(const Incoming& incoming, grpc::ByteBuffer* response);

}  // namespace halftone
