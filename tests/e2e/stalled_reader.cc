#include "tests/e2e/stalled_reader.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include "halftone/v1/inference.grpc.pb.h"

namespace halftone {

StreamEnd stalled_stream(const std::string& address, const v1::GenerateRequest& request,
                         const std::function<void()>& pause) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  arguments.SetInt(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, 4096);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  auto stub = v1::Inference::NewStub(grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments));
  grpc::ClientContext context;
  auto reader = stub->GenerateStream(&context, request);
  StreamEnd end;
  v1::GenerateResponse message;
  while (reader->Read(&message)) {
    for (const v1::TokenInfo& token : message.tokens()) end.ids.push_back(token.id());
    end.text += message.text();
    end.reason = message.finish().reason();
    if (++end.messages == 1) pause();
  }
  const grpc::Status status = reader->Finish();
  end.status = absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
  return end;
}

}  // namespace halftone
